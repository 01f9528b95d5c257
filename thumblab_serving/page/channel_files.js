// Whether chosen files are the exports of an import.

// The service stores the name of a file without the characters that a file name cannot have.
const plain = (name) => name.replace(/[^\p{L}\p{N}]/gu, "");

// Whether one of the files is an export of the import, by its name.
export function isExportOf({ files: names }, files) {
  const own = new Set(names.map(plain));
  return files.some(({ name }) => own.has(plain(name)));
}
