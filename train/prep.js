// Draws icon sets as 64 x 64 pictures on white and joins their names and tags:  node ../prep.js SET,SET  in a folder below
// the one that gets data.json and data.rgb. Needs sharp, emojibase-data and @iconify-json/SET (README.md).
const sharp = require('sharp');
sharp.concurrency(1);
const fs = require('fs');
const S = 64;
const slug = (s) =>
  s
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[’'“”.!,:()]/g, '')
    .replace(/&/g, 'and')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
const en = require('emojibase-data/en/data.json'),
  fr = require('emojibase-data/fr/data.json');
const frBy = {};
for (const e of fr) frBy[e.hexcode] = e;
const by = {};
for (const e of en) {
  by[slug(e.label)] = e;
}
const sets = process.argv[2].split(',');
(async () => {
  const out = [];
  const raw = [];
  let un = 0;
  const t0 = Date.now();
  for (const p of sets) {
    const d = require('@iconify-json/' + p + '/icons.json');
    let n = 0,
      m = 0;
    for (const [k, v] of Object.entries(d.icons)) {
      if (/skin-tone|^flag-|keycap|-(\d)$|^(medium|dark|light)|-\d+$/.test(k)) continue;
      let e = by[k];
      if (!e && /-(light|medium|dark|medium-light|medium-dark)$/.test(k)) continue;
      if (e && e.subgroup === undefined) e = e;
      const w = v.width || d.width || 16,
        h = v.height || d.height || 16,
        l = v.left || d.left || 0,
        t = v.top || d.top || 0;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${l} ${t} ${w} ${h}" width="${2 * S}" height="${2 * S}">${v.body}</svg>`;
      let px;
      try {
        const r = await sharp(Buffer.from(svg))
          .flatten({ background: 'white' })
          .resize(S, S, { fit: 'contain', background: 'white' })
          .removeAlpha()
          .raw()
          .toBuffer();
        px = r;
        if (r.length != S * S * 3) throw 1;
      } catch (x) {
        un++;
        continue;
      }
      raw.push(px);
      const f = e && frBy[e.hexcode];
      out.push({
        set: p,
        name: k.replace(/-/g, ' '),
        label: e ? e.label : k.replace(/-/g, ' '),
        tags: e ? e.tags || [] : [],
        group: e ? e.group : -1,
        fr: f ? f.label : null,
        frtags: f ? f.tags : [],
      });
      n++;
      if (e) m++;
    }
    console.log(p, n, 'matched', m, Date.now() - t0);
  }
  fs.writeFileSync('../data.json', JSON.stringify(out));
  fs.writeFileSync('../data.rgb', Buffer.concat(raw));
  console.log(out.length, 'failed', un);
})();
