// The photos of a search on a map of the land alone, which needs no other machine. Leaflet is loaded with it.

const VENDOR = "/static/vendor";
const APART = 48; // px: places nearer than that are drawn as one
const NEAR_ZOOM = 4; // from which the finer coast is drawn
const FARTHEST_ZOOM = 12;
const number = new Intl.NumberFormat(document.documentElement.lang);
let map = null;

function load(kind, attributes) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(kind), attributes);
    element.addEventListener("load", resolve);
    element.addEventListener("error", () => reject(new Error(attributes.src ?? attributes.href)));
    document.head.append(element);
  });
}

async function openMap(element, words) {
  await Promise.all([
    load("link", { rel: "stylesheet", href: `${VENDOR}/leaflet-1.9.4/leaflet.css` }),
    load("script", { src: `${VENDOR}/leaflet-1.9.4/leaflet.js` }),
    load("script", { src: `${VENDOR}/topojson-client-3.1.0/topojson-client.min.js` }),
  ]);
  const { L } = window;
  map = L.map(element, { attributionControl: false, minZoom: 0, zoomSnap: 0.25, maxZoom: FARTHEST_ZOOM, worldCopyJump: true, preferCanvas: true });
  map.setView([20, 0], 2);
  const source = Object.assign(document.createElement("span"), { className: "map-source", textContent: words.earth });
  const area = Object.assign(document.createElement("button"), { type: "button", className: "map-area", textContent: words.area });
  element.append(source, area);
  L.DomEvent.disableClickPropagation(area);
  map.markers = L.layerGroup().addTo(map);
  map.areaButton = area;
  const coarse = await land("110m");
  coarse.addTo(map);
  let fine = null;
  map.on("zoomend", async () => {
    if (map.getZoom() >= NEAR_ZOOM && !fine) {
      fine = await land("50m");
      fine.addTo(map);
      coarse.remove();
    }
  });
}

async function land(detail) {
  const topology = await (await fetch(`${VENDOR}/world-atlas-2.0.2/land-${detail}.json`)).json();
  const colour = getComputedStyle(map.getContainer()).color;
  const style = { stroke: false, fillColor: colour, fillOpacity: 1, interactive: false };
  const { features } = window.topojson.feature(topology, topology.objects.land);
  const polygons = features.flatMap(({ geometry }) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates));
  const coordinates = polygons.flatMap(onBothSides);
  return window.L.geoJSON({ type: "MultiPolygon", coordinates }, { style, interactive: false });
}

// Land that crosses 180 degrees, once on either side of the map: or a line would run across all of it.
function onBothSides(polygon) {
  const whole = polygon.map((ring) => {
    let [turn, before] = [0, ring[0][0]];
    return ring.map(([longitude, latitude]) => {
      if (Math.abs(longitude - before) > 180) turn += longitude < before ? 360 : -360;
      before = longitude;
      return [longitude + turn, latitude];
    });
  });
  const longitudes = whole[0].map(([longitude]) => longitude);
  const moved = (turn) => whole.map((ring) => ring.map(([longitude, latitude]) => [longitude + turn, latitude]));
  if (Math.max(...longitudes) > 180) return [whole, moved(-360)];
  return Math.min(...longitudes) < -180 ? [whole, moved(360)] : [whole];
}

// Draws places, [latitude, longitude, photos, title, term, best photo]; narrow: told of the filter of one that is clicked.
export async function showPlaces(element, places, words, narrow) {
  const opened = !map;
  if (opened) await openMap(element, words);
  map.invalidateSize();
  if (map.draw) map.off("moveend viewreset", map.draw);
  map.draw = () => draw(places, words, narrow);
  map.on("moveend viewreset", map.draw);
  map.areaButton.onclick = () => narrow(around(map.getBounds()));
  map.areaButton.hidden = places.length === 0;
  element.querySelector(".nowhere")?.remove();
  if (places.length) map.fitBounds(places.map(([latitude, longitude]) => [latitude, longitude]), { maxZoom: 8, padding: [40, 40], animate: !opened });
  else element.append(Object.assign(document.createElement("p"), { className: "note nowhere", textContent: words.nowhere }));
  map.draw();
}

function around(bounds) { // the circle about a part of the map, as a filter
  const centre = bounds.getCenter().wrap();
  const edges = [[centre.lat, bounds.getEast()], [bounds.getNorth(), centre.lng]];
  const km = Math.min(...edges.map((edge) => map.distance(bounds.getCenter(), edge))) / 1000;
  return `near:${centre.lat.toFixed(3)},${centre.lng.toFixed(3)},${Math.max(1, Math.round(km))}km`;
}

function clusters(places) { // those with most photos, each with the places close by
  const bounds = map.getBounds().pad(0.2);
  const inView = places.filter(([latitude, longitude]) => bounds.contains([latitude, longitude]));
  const made = [];
  for (const place of inView.sort((one, other) => other[2] - one[2])) {
    const { x, y } = map.project([place[0], place[1]]);
    const near = made.find((each) => Math.hypot(each.x - x, each.y - y) < APART);
    if (near) near.members.push(place);
    else made.push({ x, y, members: [place] });
  }
  return made.map(({ members }) => members);
}

function draw(places, words, narrow) {
  const { L } = window;
  map.markers.clearLayers();
  for (const members of clusters(places)) {
    const count = members.reduce((sum, place) => sum + place[2], 0);
    const [best] = members;
    const text = count === 1 ? words.placesOne : words.places.replace("{n}", number.format(count));
    const title = members.length === 1 ? `${best[3]}: ${text}` : text;
    const size = Math.round(26 + 8 * Math.min(Math.log10(count), 3.5));
    const icon = L.divIcon({ className: "place", iconSize: [size, size], html: number.format(count) });
    const at = [best[0], best[1]];
    const marker = L.marker(at, { icon, alt: title, title: "" }).addTo(map.markers);
    marker.getElement().ariaLabel = title;
    marker.bindTooltip(() => told(best, title), { direction: "top", offset: [0, -size / 2] });
    marker.on("click", () => {
      if (members.length === 1) narrow(best[4]);
      else if (map.getZoom() < FARTHEST_ZOOM) map.fitBounds(members.map((place) => [place[0], place[1]]), { padding: [60, 60] });
      else narrow(`near:${at[0].toFixed(4)},${at[1].toFixed(4)},1km`);
    });
  }
}

function told(place, title) {
  const box = document.createElement("div");
  const picture = Object.assign(new Image(), { src: `/api/v1/photos/${place[5]}/image?w=480`, alt: "" });
  box.append(picture, title);
  return box;
}
