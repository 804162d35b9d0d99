"""Draw docs/inside.svg, the picture of docs/inside.md: python3 docs/draw_inside.py"""

from pathlib import Path

WIDTH, HEIGHT = 920, 610
INK, PALE, ACCENT = "#24292f", "#8c959f", "#c2410c"
# Of each array: its colour, its blocks, how much of the last one there is.
ARRAYS = [("#2f6fb0", 8, 0.6), ("#d08a1d", 3, 0.4), ("#3b8f5a", 7, 1.0)]
PITCH, SIDE, LEFT = 43, 35, 72
LANES = 32


def rect(x, y, width, height, fill, stroke="none", rx=2):
    shape = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{rx}"'
    return f'<rect {shape} fill="{fill}" stroke="{stroke}"/>'


def line(x1, y1, x2, y2, color=INK, width=1.0, arrow=False, dashed=False):
    more = ' marker-end="url(#arrow)"' if arrow else ""
    more += ' stroke-dasharray="3 3"' if dashed else ""
    ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width:g}"{more}/>'


def text(x, y, content, size=13, color=INK, anchor="middle"):
    place = f'x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" text-anchor="{anchor}"'
    return f"<text {place}>{content}</text>"


def number(y, content):
    disc = f'<circle cx="30" cy="{y}" r="13" fill="{INK}"/>'
    return [disc, text(30, y + 5, content, 14, "white")]


def blocks():
    """Yield x, width and colour of each block, arrays one after another."""
    x = LEFT
    for color, count, last in ARRAYS:
        for i in range(count):
            yield x, SIDE * (last if i == count - 1 else 1.0), color
            x += PITCH
        x += 10


BLOCKS = list(blocks())
CHUNK = 3  # blocks
MIDDLE = 9  # the first block of the second worker


def row_of_blocks(y, scale=1.0):
    """Blocks, of their full height or less, on the chunks that they are taken in."""
    parts = []
    for first in range(0, len(BLOCKS), CHUNK):
        begin, (x, width, _) = BLOCKS[first][0], BLOCKS[first + CHUNK - 1]
        parts.append(rect(begin - 3, y - 4, x + width - begin + 6, SIDE + 8, "#e6e9ed", rx=5))
    for x, width, color in BLOCKS:
        side = SIDE * scale
        parts.append(rect(x, y, width, SIDE, "white"))
        parts.append(rect(x, y + SIDE - side, width, side, color))
    return parts


def workers(y, backwards):
    """Two workers and the way they take."""
    parts = []
    for name, (first, last) in enumerate([(0, MIDDLE - 1), (MIDDLE, len(BLOCKS) - 1)]):
        begin, end = BLOCKS[first][0], BLOCKS[last][0] + BLOCKS[last][1]
        if backwards:
            begin, end = end, begin
        parts.append(line(begin, y, end, y, ACCENT, 2, arrow=True))
        parts.append(f'<circle cx="{begin:g}" cy="{y}" r="9" fill="{ACCENT}"/>')
        parts.append(text(begin, y + 4, "AB"[name], 11, "white"))
    return parts


def pair(x, y):
    """A compensated sum."""
    return [rect(x, y, 22, 16, INK), rect(x + 22, y, 12, 16, "#d0d7de")]


def one_block(left, top, color):
    """Rows of elements, the lanes that they are added to, and their tree."""
    pitch, rows = 20, 5
    parts = []
    for row in range(rows):
        fade = 1.0 if row < rows - 1 else 0.35
        for lane in range(LANES):
            shade = ACCENT if lane == 5 else color
            cell = rect(left + lane * pitch, top + row * 13, pitch - 4, 10, shade)
            parts.append(cell.replace("/>", f' fill-opacity="{fade}"/>'))
    for lane in range(LANES):
        x = left + lane * pitch + 8
        shade = ACCENT if lane == 5 else INK
        parts.append(line(x, top + rows * 13, x, top + rows * 13 + 12, shade))
    xs, y = [left + lane * pitch + 8 for lane in range(LANES)], top + rows * 13 + 16
    while True:
        parts += [f'<circle cx="{x:g}" cy="{y}" r="3.2" fill="{INK}"/>' for x in xs]
        if len(xs) == 1:
            break
        half = [(a + b) / 2 for a, b in zip(xs[::2], xs[1::2], strict=True)]
        for i, x in enumerate(xs):
            parts.append(line(x, y, half[i // 2], y + 17, PALE))
        xs, y = half, y + 17
    return parts, (xs[0], y)


def drawing():
    parts = [rect(0, 0, WIDTH, HEIGHT, "white", rx=8)]
    parts += number(73, 1) + workers(32, backwards=False) + row_of_blocks(55)

    x, width, color = BLOCKS[2]
    left, top = 130, 128
    parts += number(190, 2)
    parts += [rect(x - 2, 53, width + 4, SIDE + 4, "none", INK)]
    parts += [line(x - 2, 95, left - 6, top - 4, PALE, dashed=True)]
    parts += [line(x + width + 2, 95, left + LANES * 20 + 2, top - 4, PALE, dashed=True)]
    tree, (root_x, root_y) = one_block(left, top, color)
    parts += tree
    parts.append(text(left + LANES * 20 + 14, top + 36, "16,384", 12, anchor="start"))
    parts.append(text(left + LANES * 20 + 14, top + 85, "32 lanes", 12, anchor="start"))

    y = 372
    parts += number(y + 8, 3)
    for x, _, _ in BLOCKS:
        parts += pair(x, y)
    parts.append(line(root_x, root_y + 5, BLOCKS[2][0] + 30, y - 5, INK, arrow=True))
    end = BLOCKS[-1][0] + 30
    parts.append(line(LEFT, y + 28, end, y + 28, INK, 1.5, arrow=True))
    parts += [line(x + 16, y + 17, x + 16, y + 27, PALE) for x, _, _ in BLOCKS]
    parts.append(line(end, y + 34, end, y + 52, INK, arrow=True))
    parts.append(text(end - 2, y + 74, "‖g‖", 18))
    parts.append(line(end - 26, y + 68, end - 96, y + 68, INK, arrow=True))
    parts.append(text(end - 170, y + 74, "min(1, c / ‖g‖)", 18, ACCENT))
    parts.append(line(end - 170, y + 84, end - 170, y + 106, ACCENT, 2, arrow=True))

    parts += number(558, 4) + workers(502, backwards=True) + row_of_blocks(530, 0.55)
    return parts


def main():
    marker = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" '
        'fill="context-stroke"/></marker></defs>'
    )
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif">'
    )
    page = "\n".join([opening, marker, *drawing(), "</svg>", ""])
    Path(__file__).with_name("inside.svg").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
