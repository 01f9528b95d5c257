"""Write the pages of the reference from the code: `python -m thumblab_cli.reference`.

The pages are docs/reference/*.md, and the diagram of the assets is docs/images/assets.svg. A test fails while one of
these files is out of date.
"""
