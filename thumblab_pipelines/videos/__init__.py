"""Store videos and channels in the database, record the thumbnails and titles that each video has shown, and delete
videos.
"""
