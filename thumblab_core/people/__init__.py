"""Faces in pictures, the clusters that they form, and the people that a person has named.

The functions take a connection and do all their work in its transaction, so the caller decides when to commit. Before a
function writes, it waits for other writers of these tables (`locking`).
"""
