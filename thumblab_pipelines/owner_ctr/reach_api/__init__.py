"""Sign in to the YouTube Reporting API as a channel's owner, and list and download its reach reports."""
