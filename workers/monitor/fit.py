"""A straight line through one figure over time, kept as sums: a leak shows as its slope (panda-protocol 3.6)."""

from dataclasses import dataclass

#: With fewer points, or a shorter time, a line says nothing.
MIN_POINTS = 6
MIN_SPAN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Least squares of y over x by running means (Welford), so that large values lose no digits."""

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
        count = self.count + 1
        dx, dy = x - self.mean_x, y - self.mean_y
        mean_x, mean_y = self.mean_x + dx / count, self.mean_y + dy / count
        return Fit(
            count=count,
            first_x=self.first_x if self.count else x,
            last_x=x,
            mean_x=mean_x,
            mean_y=mean_y,
            sum_xx=self.sum_xx + dx * (x - mean_x),
            sum_xy=self.sum_xy + dx * (y - mean_y),
            sum_yy=self.sum_yy + dy * (y - mean_y),
        )

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
        """The sum of squared distances from the line, in units of the mean's square; 0 without a good fit."""
        if not self.is_good or not self.mean_y:
            return 0.0
        return max(0.0, self.sum_yy - self.sum_xy * self.sum_xy / self.sum_xx) / self.mean_y**2
