"""Write YouTube's quota into the metadata of an asset: the quota that the run spent, and the quota that is left today,
by bucket."""

from collections.abc import Mapping

from thumblab_pipelines.youtube.quota import Spending


def quota_metadata(quota: Spending) -> Mapping[str, int]:
    spent = {f"quota_{bucket}_spent": count for bucket, count in quota.spent.items()}
    return spent | {f"quota_{balance.bucket}_left_today": balance.left for balance in quota.balances}
