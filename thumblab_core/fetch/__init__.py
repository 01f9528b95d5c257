"""Read files from URLs that come from outside the lab. All code of the lab that reads such a URL uses this package.

These rules protect the lab against a hostile URL or host:

    hosts            The URL must name a host and a port from the list that the fetcher was given. A fetcher can also be
                     allowed to read from any public host. It then also reads https URLs on port 443 of public hosts.
    addresses        The name of a public host is looked up once per connection. The lab connects only to the public
                     addresses of the answer, so a second answer of the name server cannot change the address.
    credentials      A URL with credentials is refused.
    redirects        A fetcher that reads only from listed hosts follows no redirect. A fetcher that reads from any public
                     host follows a few redirects, also from listed hosts. Each redirect must lead to a public host.
    proxies          Proxies are not used, because a request through a proxy would avoid these rules.
    size             An answer may have at most the given number of bytes.
    compression      Compression is not requested, and a compressed answer is not unpacked.
    time             A request has one deadline, from the first look-up to the last byte, over all redirects.
    type             The header `Content-Type` is not trusted. The caller decodes the bytes and refuses what it cannot
                     decode.
"""

from thumblab_core.fetch.answers import FetchedAnswer, FetchError, RefusedError
from thumblab_core.fetch.fetcher import Fetcher

__all__ = ["FetchError", "FetchedAnswer", "Fetcher", "RefusedError"]
