"""The numbers of the lab's advisory locks in its database. Each lock has another number, so no work waits for other work.

No other program uses these numbers in the lab's database.
"""

MIGRATION = 7_204_115
NEAREST_INDEX = 7_204_116
EXPORTS = 7_204_117
PEOPLE = 7_204_118
NICHES = 7_204_119
MLFLOW = 7_204_120
OUTCOMES = 7_204_121
