"""Back up a running lab into a folder, verify the backup, and restore it on this machine or on another machine."""
