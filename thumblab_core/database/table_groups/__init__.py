"""The tables of the lab that belong together. `thumblab_core.database.tables` names them all."""
