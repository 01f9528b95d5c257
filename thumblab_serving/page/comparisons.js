// Store comparisons in this browser (IndexedDB). A comparison is {id, at, question, answer, note, pictures, bytes, outcome}.
// `pictures` are {name, file, title} with the whole files, because an outcome is stored with the pictures that were tested.

const DATABASE = "thumblab";
const STORE = "comparisons";
export const MOST_COMPARISONS = 200;
export const MOST_BYTES = 256 * 2 ** 20;

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
    request.onsuccess = () => {
      // The database is closed at once, because another tab may wait to upgrade it, or the browser to delete it.
      request.result.onversionchange = () => {
        request.result.close();
        opened = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab with an older version of this page is open; close it"));
  });
  opened.catch(() => (opened = null));
  return opened;
}

// Return the result of `work`, which gets the store and returns a request.
async function run(mode, work) {
  const transaction = (await database()).transaction(STORE, mode);
  return new Promise((resolve, reject) => {
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("the browser stopped the storing"));
  });
}

// Return a copy of an answer without the people who are seen. The page does not show them, and `thumblab people forget` cannot
// delete names from a browser or from a downloaded file.
export function withoutPeople(answer) {
  const { people, other_niches: others, ...rest } = answer;
  return others ? { ...rest, other_niches: others.map(withoutPeople) } : rest;
}

const saysWho = (answer) => Boolean(answer.people) || (answer.other_niches ?? []).some(saysWho);

// Return all comparisons, the newest first. Earlier versions of this page stored the people who are seen. They are deleted here.
export async function stored() {
  const all = await run("readwrite", (store) => {
    const request = store.getAll();
    request.onsuccess = () => {
      for (const one of request.result.filter(({ answer }) => saysWho(answer))) {
        one.answer = withoutPeople(one.answer);
        store.put(one);
      }
    };
    return request;
  });
  return all.sort((a, b) => (a.at < b.at ? 1 : -1));
}

// Store a comparison, or replace the one with its id. Delete the oldest comparisons that no longer fit. Return its id, and how
// many were deleted.
export async function keep(comparison) {
  const id = await run("readwrite", (store) => store.put(recordOf(comparison)));
  return { id, deleted: await dropOldest() };
}

// Do the same as `keep`, and store the comparison in place of the one with the id `before`. If that one has an outcome or is
// deleted, which another tab may have done, it stays so, and the comparison is a new one.
export async function keepInPlaceOf(before, comparison) {
  const written = {};
  await run("readwrite", (store) => {
    const request = store.get(before);
    request.onsuccess = () => {
      const own = request.result?.outcome === null ? { id: before } : {};
      written.request = store.put({ ...recordOf(comparison), ...own });
    };
    return request;
  });
  return { id: written.request.result, deleted: await dropOldest() };
}

function recordOf(comparison) {
  const answer = withoutPeople(comparison.answer);
  const bytes = JSON.stringify(answer).length + comparison.pictures.reduce((sum, { file }) => sum + file.size, 0);
  return { outcome: null, ...comparison, answer, bytes };
}

async function dropOldest() {
  let [count, bytes] = [0, 0];
  const dropped = [];
  for (const one of await stored()) {
    count += 1;
    bytes += one.bytes;
    if (count > 1 && (count > MOST_COMPARISONS || bytes > MOST_BYTES)) dropped.push(one.id);
  }
  for (const id of dropped) await drop(id);
  return dropped.length;
}

export const drop = (id) => run("readwrite", (store) => store.delete(id));

export const dropAll = () => run("readwrite", (store) => store.clear());
