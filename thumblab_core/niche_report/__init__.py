"""Reports on niches: what a report says, and how it is stored. The pipelines write the reports, and the service reads
them.
"""
