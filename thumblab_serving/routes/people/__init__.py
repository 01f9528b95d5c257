"""The routes below `/api/v1/faces`. These routes are for keys with the scope `admin`.

The request log contains the paths of requests, which have ids of faces and people. Names of people are only in the
bodies of requests and answers, so no log and no metric contains a name.
"""
