"""Groups of tables of the lab, one module for each group. Other code imports all tables from
`thumblab_core.database.tables`.
"""
