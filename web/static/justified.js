// Where the photos of a justified grid stand. Arithmetic alone: touches no page.

const layout = window.require("justified-layout");
const BLOCK = 100; // laid out at a time: of a whole list it would be quadratic
const PATIENCE_MS = 10; // of those who type and scroll meanwhile
export const GAP = 4;

export const widthOverHeight = (ratio) => 2 ** (ratio / 32 - 1);

// Places of photos in a width, all in px. ratios: a byte each. line: how many stand above the stop line, or null;
// lineHeight: what the line itself takes. Resolves to left and wide of each, rows as [first photo, top, height], lineTop
// and height; at once where they are few.
export async function justified(ratios, width, line, lineHeight) {
  const places = { left: new Float32Array(ratios.length), wide: new Float32Array(ratios.length), rows: [], lineTop: null };
  let top = 0;
  if (line !== null) {
    places.lineTop = top = await stretch(places, ratios, 0, Math.min(line, ratios.length), top, width);
    top += lineHeight;
  }
  places.height = await stretch(places, ratios, line ?? 0, ratios.length, top, width);
  return places;
}

async function stretch(places, ratios, from, to, top, width) {
  const targetRowHeight = Math.max(130, Math.min(width / 5.2, 220));
  const how = { containerWidth: width, containerPadding: 0, boxSpacing: GAP, targetRowHeight };
  let began = performance.now();
  while (from < to) {
    if (performance.now() - began > PATIENCE_MS) {
      await new Promise((resolve) => setTimeout(resolve));
      began = performance.now();
    }
    const end = Math.min(from + BLOCK, to);
    const shapes = Array.from(ratios.subarray(from, end), widthOverHeight);
    let { boxes } = layout(shapes, { ...how, showWidows: end === to });
    if (boxes.length === 0) ({ boxes } = layout(shapes, how)); // a row that is wider than a block
    for (const [i, box] of boxes.entries()) {
      places.left[from + i] = box.left;
      places.wide[from + i] = box.width;
      if (i === 0 || box.top !== boxes[i - 1].top) places.rows.push([from + i, top + box.top, box.height]);
    }
    from += boxes.length; // widows begin the next block
    top += boxes.at(-1).top + boxes.at(-1).height + GAP;
  }
  return top;
}
