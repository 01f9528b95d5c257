"""The names of YouTube's video categories by id, and the categories in the form that the API returns."""

from demo.errors import Json
from demo.etags import etag

CATEGORIES = {
    "1": "Film & Animation",
    "2": "Autos & Vehicles",
    "10": "Music",
    "15": "Pets & Animals",
    "17": "Sports",
    "19": "Travel & Events",
    "20": "Gaming",
    "22": "People & Blogs",
    "23": "Comedy",
    "24": "Entertainment",
    "25": "News & Politics",
    "26": "Howto & Style",
    "27": "Education",
    "28": "Science & Technology",
    "29": "Nonprofits & Activism",
    "30": "Movies",
}
"""The names of YouTube's video categories, by id. An uploader can choose each of them except Movies."""


def category(category_id: str) -> Json:
    """Return the `youtube#videoCategory` resource of a category."""
    return {
        "kind": "youtube#videoCategory",
        "etag": etag("category", category_id),
        "id": category_id,
        "snippet": {
            "title": CATEGORIES[category_id],
            "assignable": category_id != "30",
            "channelId": "UCBR8-60-B28hp2BmDPdntcQ",
        },
    }
