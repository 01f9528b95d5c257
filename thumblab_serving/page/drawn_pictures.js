// Draw a picture file as YouTube shows it: cropped to 16:9.

// Return a canvas of `width` pixels with the picture, or null if the browser cannot read the file.
export async function drawn(file, width) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return null;
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, Math.round((width * 9) / 16)];
  const scale = Math.max(canvas.width / picture.width, canvas.height / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, (canvas.width - wide) / 2, (canvas.height - high) / 2, wide, high);
  picture.close();
  return canvas;
}

export function blobOf(canvas, type, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser could not encode the picture"))), type, quality);
  });
}
