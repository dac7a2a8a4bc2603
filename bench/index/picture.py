#!/usr/bin/env python3
"""Recall against queries a second of compare.py's results as one SVG on stdout: a panel per data set, a curve per library.

usage: picture.py RESULT.json... > picture.svg
"""
import html, json, math, sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP, LABELS = 340, 270, 58, 56, 48, 8, 108
COLORS = {"freshet": "#c2410c", "hnswlib": "#1d4ed8", "svs": "#047857", "vsag": "#7c3aed", "faiss": "#64748b", "usearch": "#a16207"}
DASHES = {"svs-lvq8": "6 3", "svs-lvq4x8": "2 3", "faiss-sq8": "6 3", "usearch-i8": "6 3", "usearch-bf16": "2 3", "vsag-fp32": "6 3",
          "freshet-speed": "7 3", "freshet-compact": "2 3"}
RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)


def family(name):
    return name.split("-")[0]


def panel(data, x0, low, high):
    """One data set: x grows with -log10(1 - recall), so that the last percent has room; y is log10 of queries a second."""
    spread = lambda r: -math.log10(1 - min(max(r, RECALLS[0]), RECALLS[-1]))
    x = lambda r: x0 + (spread(r) - spread(RECALLS[0])) / (spread(RECALLS[-1]) - spread(RECALLS[0])) * WIDTH
    y = lambda q: TOP + (math.log10(high) - math.log10(q)) / (math.log10(high) - math.log10(low)) * HEIGHT
    out = [f'<text x="{x0}" y="{TOP - 14}" class="title">{html.escape(data["data"])}: {data["rows"]:,} x {data["dimension"]}</text>']
    for r in RECALLS:
        out.append(f'<path d="M{x(r):.1f} {TOP}V{TOP + HEIGHT}" class="grid"/><text x="{x(r):.1f}" y="{TOP + HEIGHT + 16}" class="tick" text-anchor="middle">{r:g}</text>')
    for power in range(int(math.log10(low)), int(math.log10(high)) + 1):
        for step in (1, 2, 5):
            q = step * 10**power
            if low <= q <= high:
                out.append(f'<path d="M{x0} {y(q):.1f}h{WIDTH}" class="grid"/><text x="{x0 - 6}" y="{y(q) + 4:.1f}" class="tick" text-anchor="end">{q:,}</text>')
    out.append(f'<text x="{x0 + WIDTH / 2}" y="{TOP + HEIGHT + 36}" class="axis" text-anchor="middle">recall@10</text>')
    labels = []
    for name, library in sorted(data["libraries"].items(), key=lambda item: family(item[0]) == "freshet"):
        points = [p for p in library["curve"] if RECALLS[0] <= p["recall"] and low <= p["qps"] <= high]
        past = next((i for i, p in enumerate(points) if p["recall"] >= RECALLS[-1]), len(points))
        points = points[: past + 1]  # what lies right of the panel would fall straight down at its edge
        if not points:
            continue
        color, ours = COLORS.get(family(name), "#444"), family(name) == "freshet"
        dash = f' stroke-dasharray="{DASHES[name]}"' if name in DASHES else ""
        line = " ".join(f"{x(p['recall']):.1f},{y(p['qps']):.1f}" for p in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="{3.2 if ours else 1.5}"{dash}><title>{name}</title></polyline>')
        for p in points:
            out.append(f'<circle cx="{x(p["recall"]):.1f}" cy="{y(p["qps"]):.1f}" r="{3.4 if ours else 2}" fill="{color}"><title>{name}: ef {p["ef"]}, recall {p["recall"]}, {p["qps"]:,} queries/s</title></circle>')
        labels.append([y(points[-1]["qps"]), name, color, ours, x(points[-1]["recall"])])
    return out + list(placed(labels, x0 + WIDTH))


def placed(labels, right):
    """Names right of the panel beside the ends of their curves, moved apart where they would cover each other."""
    labels.sort()
    for i in range(1, len(labels)):
        labels[i][0] = max(labels[i][0], labels[i - 1][0] + 13)
    over = max(0, labels[-1][0] - (TOP + HEIGHT)) if labels else 0
    for at, name, color, ours, _ in labels:
        yield f'<text x="{right + 8}" y="{at - over + 4:.1f}" class="{"ours" if ours else "name"}" fill="{color}">{html.escape(name)}</text>'


def main():
    sets = [json.load(open(path, encoding="utf-8")) for path in sys.argv[1:]]
    speeds = [p["qps"] for s in sets for library in s["libraries"].values() for p in library["curve"] if p["recall"] >= RECALLS[0]]
    low, high = 10 ** (math.floor(math.log10(min(speeds)) * 5) / 5), 10 ** (math.ceil(math.log10(max(speeds)) * 5) / 5)
    across, each, tall = min(2, len(sets)), LEFT + WIDTH + LABELS + GAP, TOP + HEIGHT + BOTTOM
    width, height = each * across, tall * -(-len(sets) // across)
    style = ("text{font:12px sans-serif;fill:#333} .tick{font-size:10.5px;fill:#666} .title{font-size:14px;font-weight:600} .grid{stroke:#e3e3e3;stroke-width:1}"
             " .name{font-size:11.5px} .ours{font-size:12.5px;font-weight:700} .axis{fill:#555}")
    colored = " ".join(f'.{kind}[fill="{color}"]{{fill:{color}}}' for kind in ("name", "ours") for color in set(COLORS.values()))
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"><style>{style} {colored}</style>'
          f'<rect width="100%" height="100%" fill="#fff"/>'
          f'<text x="{LEFT}" y="20" class="axis">queries a second, one thread (log scale): higher and further right is better</text>')
    for i, data in enumerate(sets):
        print(f'<g transform="translate({i % across * each} {i // across * tall})">', *panel(data, LEFT, low, high), "</g>", sep="\n")
    print("</svg>")


if __name__ == "__main__":
    main()
