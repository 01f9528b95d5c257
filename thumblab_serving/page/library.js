// The pictures of the library's videos. They are requested once, in groups, and shown wherever their video is named.

import { image } from "./dom.js";
import { libraryPictures } from "./service.js";

const MOST_ASKED = 24; // The service answers at most this many at a time, see `MOST_PICTURES` in `schemas/library.py`.

const urls = new Map(); // The data URL of each video's picture, or null if the lab has no picture.

// Return the neighbours of all pictures of the answer, each once, the most similar first.
export function neighboursOf(answer) {
  const all = answer.thumbnails.flatMap((thumbnail) => thumbnail.neighbours).sort((a, b) => b.similarity - a.similarity);
  return [...new Map(all.map((near) => [near.video_id, near])).values()];
}

export const urlOf = (videoId) => urls.get(videoId) ?? null;

// Return an image of the video, which is hidden until its picture has arrived.
export function libraryImage(videoId) {
  const picture = image(urlOf(videoId) ?? "");
  if (!urls.get(videoId)) {
    picture.removeAttribute("src");
    picture.hidden = true;
  }
  picture.dataset.video = videoId;
  return picture;
}

// Request the pictures of the answer's neighbours that the page does not have yet. The page is complete without them.
export async function loadPictures(answer) {
  const unknown = neighboursOf(answer).map((near) => near.video_id).filter((id) => !urls.has(id));
  for (let start = 0; start < unknown.length; start += MOST_ASKED) {
    try {
      const { pictures, missing, degraded } = await libraryPictures(unknown.slice(start, start + MOST_ASKED));
      for (const { video_id, media_type, image_base64 } of pictures) urls.set(video_id, `data:${media_type};base64,${image_base64}`);
      // A picture that is missing because something failed is requested again with the next answer.
      if (degraded.length === 0) for (const id of missing) urls.set(id, null);
    } catch {
      break; // The other neighbours keep their titles. The next answer repeats the request.
    }
  }
  for (const picture of document.querySelectorAll("img[data-video]")) {
    const url = urlOf(picture.dataset.video);
    if (url === null || !picture.hidden) continue;
    picture.src = url;
    picture.hidden = false;
  }
}
