"""Store, report and plan experiments, in which a creator tries two or three variants on one video."""
