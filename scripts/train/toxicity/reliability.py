"""Reliability: equal-width bins of a probability, and a plot of them as SVG without any plotting library."""

BINS = 15
SIDE, LEFT, TOP = 320, 60, 30
COLOURS = ("#1b6ca8", "#c0392b", "#2e7d32")


def bins_of(label, score, bins=BINS):
    """(bin, count, mean probability, share of toxic texts) of every bin that holds texts."""
    index = (score * bins).astype(int).clip(0, bins - 1)
    found = []
    for number in range(bins):
        inside = index == number
        if inside.any():
            found.append((number, int(inside.sum()), float(score[inside].mean()), float(label[inside].mean())))
    return found


def draw(curves):
    """SVG of mean probability against share of toxic texts; a dot's area grows with the number of texts in its bin."""

    def x(value):
        return round(LEFT + value * SIDE, 1)

    def y(value):
        return round(TOP + (1 - value) * SIDE, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE + 100}" height="{SIDE + 90}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#aaa" stroke-dasharray="4 3"/>',
    ]
    for tenth in range(0, 11, 2):
        value = tenth / 10
        parts.append(f'<text x="{x(value)}" y="{y(0) + 16}" text-anchor="middle">{value}</text>')
        parts.append(f'<text x="{x(0) - 8}" y="{y(value) + 4}" text-anchor="end">{value}</text>')
    for number, ((name, bins), colour) in enumerate(zip(curves.items(), COLOURS)):
        total = sum(count for _, count, _, _ in bins)
        line = " ".join(f"{x(mean)},{y(share)}" for _, _, mean, share in bins)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        for _, count, mean, share in bins:
            radius = 2 + 14 * (count / total) ** 0.5
            dot = f'<circle cx="{x(mean)}" cy="{y(share)}" r="{radius:.1f}" fill="{colour}" fill-opacity="0.6"/>'
            parts.append(dot)
        parts.append(
            f'<text x="{LEFT + 10}" y="{TOP + 18 + 16 * number}" fill="{colour}">{name} ({total} texts)</text>'
        )
    parts.append(
        f'<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 40}" text-anchor="middle">mean probability of "toxic"</text>'
    )
    parts.append(
        f'<text transform="translate(18 {TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">share of toxic texts</text>'
    )
    return "\n".join([*parts, "</svg>", ""])
