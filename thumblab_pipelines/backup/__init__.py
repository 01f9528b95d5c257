"""Copy a lab into a folder while it runs, check the copy, and make a lab of it again, here or on another machine."""
