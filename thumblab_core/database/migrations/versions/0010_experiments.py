"""Add the tables of experiments: what happened when a creator tried two or three thumbnails or titles on one video."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A check constraint can check only one row. So a trigger checks an experiment together with its variants. It runs at
# the end of the transaction, because an experiment and its variants are inserted one after the other.
#
# The trigger's function always uses the search path of the migration. So it finds the tables even if the user who
# changes a row has another search path.
#
# People copy the shares of watch time from a screen that rounds them. Three shares that are rounded to whole percentages
# add up to 99, 100 or 101 %. The trigger accepts sums from 98 to 102 %.
_CHECK = """
CREATE FUNCTION experiment_is_whole() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  id integer;
  experiment record;
  given record;
BEGIN
  -- A variant may move from one experiment to another. Then both are checked.
  FOR id IN SELECT DISTINCT changed FROM unnest(ARRAY[NEW.experiment_id, OLD.experiment_id]) changed
            WHERE changed IS NOT NULL LOOP
    SELECT e.winner INTO experiment FROM experiments e WHERE e.experiment_id = id;
    CONTINUE WHEN NOT FOUND;
    SELECT count(*) AS variants, max(v.position) AS last, count(v.watch_time_share) AS shares,
           sum(v.watch_time_share) AS total
      INTO given FROM experiment_variants v WHERE v.experiment_id = id;
    IF given.variants NOT BETWEEN 2 AND 3 OR given.last <> given.variants THEN
      RAISE EXCEPTION 'experiment % has % variants; it needs the variants 1 and 2, or 1, 2 and 3', id, given.variants
        USING ERRCODE = 'check_violation', CONSTRAINT = 'two_or_three_variants';
    ELSIF given.shares <> 0 AND (given.shares <> given.variants OR abs(given.total - 1) > 0.020001) THEN
      RAISE EXCEPTION 'the shares of watch time of experiment % do not add up to 1', id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'shares_add_up';
    ELSIF experiment.winner NOT BETWEEN 1 AND given.variants THEN
      RAISE EXCEPTION 'experiment % has no variant %, which is its winner', id, experiment.winner
        USING ERRCODE = 'check_violation', CONSTRAINT = 'winner_is_a_variant';
    END IF;
  END LOOP;
  RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False, comment="also of channels that the lab has not collected"),
        sa.Column("video_id", sa.String(), nullable=False, comment="also of videos that the lab has not collected"),
        sa.Column("started_on", sa.Date(), nullable=False, comment="the first day on which the variants were shown"),
        sa.Column("ended_on", sa.Date(), comment="the last day on which the variants were shown; NULL where unknown"),
        sa.Column(
            "outcome",
            sa.String(),
            nullable=False,
            comment="winner, performed_the_same or inconclusive, as YouTube says",
        ),
        sa.Column(
            "winner", sa.SmallInteger(), comment="position of the winning variant; NULL unless the outcome is winner"
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the lab stored or last changed the experiment",
        ),
        sa.CheckConstraint(
            "outcome IN ('winner', 'performed_the_same', 'inconclusive')", name=op.f("ck_experiments_outcome")
        ),
        sa.CheckConstraint(
            "(outcome = 'winner') = (winner IS NOT NULL)", name=op.f("ck_experiments_winner_has_outcome_winner")
        ),
        sa.CheckConstraint("ended_on >= started_on", name=op.f("ck_experiments_dates_ordered")),
        sa.PrimaryKeyConstraint("experiment_id", name=op.f("pk_experiments")),
        comment="the user's own data: tests of two or three thumbnails or titles on one video, and what YouTube decided",
    )
    op.create_index("ix_experiments_start", "experiments", ["channel_id", "video_id", "started_on"], unique=True)
    op.create_table(
        "experiment_variants",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column(
            "position",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="1, 2 or 3, as the user gave them",
        ),
        sa.Column(
            "sha256", sa.String(length=64), comment="the picture in the image store; NULL where only titles were tested"
        ),
        sa.Column("title", sa.Text(), comment="the title of this variant; NULL where unknown"),
        sa.Column(
            "watch_time_share", sa.Float(), comment="fraction of the test's watch time, 0 to 1; NULL where unknown"
        ),
        sa.Column("impressions", sa.BigInteger(), comment="how often the variant was shown; NULL where unknown"),
        sa.CheckConstraint("position BETWEEN 1 AND 3", name=op.f("ck_experiment_variants_position")),
        sa.CheckConstraint(
            "sha256 IS NOT NULL OR title IS NOT NULL", name=op.f("ck_experiment_variants_picture_or_title")
        ),
        sa.CheckConstraint("watch_time_share BETWEEN 0 AND 1", name=op.f("ck_experiment_variants_share")),
        sa.CheckConstraint("impressions >= 0", name=op.f("ck_experiment_variants_impressions")),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.experiment_id"],
            name=op.f("fk_experiment_variants_experiment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("experiment_id", "position", name=op.f("pk_experiment_variants")),
        comment="the variants of an experiment",
    )
    op.execute(_CHECK)
    for table in ("experiments", "experiment_variants"):
        op.execute(
            f"CREATE CONSTRAINT TRIGGER experiment_is_whole AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION experiment_is_whole()"
        )


def downgrade() -> None:
    op.drop_table("experiment_variants")
    op.drop_table("experiments")
    op.execute("DROP FUNCTION experiment_is_whole()")
