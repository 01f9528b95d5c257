"""The YouTube Reporting API, which tells a channel's owner the reach of each video: sign-in, calls and downloads."""
