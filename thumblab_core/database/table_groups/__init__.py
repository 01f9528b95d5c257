"""Groups of tables of the lab, one module for each group. `thumblab_core.database.tables` names all tables."""
