"""A straight line through one figure over time, kept as sums: a leak shows as its slope (panda-protocol 3.6).

Behaviour 16 asks for a straight-line fit of PSS + swap, behaviour 23 leaves its ends out: the first five points (a
payload that starts grows, and that is no leak) and the last two. Neither names the formula of chi2: see `Fit.chi2`.
"""

from dataclasses import dataclass, replace

#: With fewer points, or a shorter time, a line says nothing.
MIN_POINTS = 6
MIN_SPAN_S = 10.0
#: Points left out at the beginning and at the end.
HEAD_POINTS = 5
TAIL_POINTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Least squares of y over x by running means (Welford), so that large values lose no digits.

    `count` points are in the sums, `seen` were given, `held` are the last ones, which are not in the sums yet.
    """

    seen: int = 0
    held: tuple[tuple[float, float], ...] = ()
    count: int = 0
    first_x: float = 0.0
    last_x: float = 0.0
    mean_x: float = 0.0
    mean_y: float = 0.0
    sum_xx: float = 0.0
    sum_xy: float = 0.0
    sum_yy: float = 0.0

    def after(self, x: float, y: float) -> "Fit":
        """Return the fit after one more point."""
        seen = replace(self, seen=self.seen + 1)
        if seen.seen <= HEAD_POINTS:
            return seen
        *points, last = *self.held, (x, y)
        if len(points) < TAIL_POINTS:
            return replace(seen, held=(*points, last))
        return _added(replace(seen, held=(*points[1:], last)), *points[0])

    @property
    def is_good(self) -> bool:
        """Whether there are enough points over enough time."""
        return self.count >= MIN_POINTS and self.last_x - self.first_x >= MIN_SPAN_S and self.sum_xx > 0

    @property
    def slope(self) -> float:
        """The slope, 0 without a good fit."""
        return self.sum_xy / self.sum_xx if self.is_good else 0.0

    @property
    def intersect(self) -> float:
        """The line's value at x = 0, 0 without a good fit."""
        return self.mean_y - self.slope * self.mean_x if self.is_good else 0.0

    @property
    def chi2(self) -> float:
        """The sum of squared distances from the line, in units of the mean's square; 0 without a good fit.

        The pilots in use divide each distance by the line's own value instead: the same for a line that is nearly
        level, and this needs no list of points.
        """
        if not self.is_good or not self.mean_y:
            return 0.0
        return max(0.0, self.sum_yy - self.sum_xy * self.sum_xy / self.sum_xx) / self.mean_y**2


def _added(fit: Fit, x: float, y: float) -> Fit:
    """Return the fit with one more point in its sums."""
    count = fit.count + 1
    dx, dy = x - fit.mean_x, y - fit.mean_y
    mean_x, mean_y = fit.mean_x + dx / count, fit.mean_y + dy / count
    return replace(
        fit,
        count=count,
        first_x=fit.first_x if fit.count else x,
        last_x=x,
        mean_x=mean_x,
        mean_y=mean_y,
        sum_xx=fit.sum_xx + dx * (x - mean_x),
        sum_xy=fit.sum_xy + dx * (y - mean_y),
        sum_yy=fit.sum_yy + dy * (y - mean_y),
    )
