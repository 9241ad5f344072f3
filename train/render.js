// Renders icon sets to 64 x 64 RGB on white and joins them with their English and French names:
//   node render.js OUT_DIR SET,SET,...     (run where sharp, emojibase-data and the @iconify-json sets are installed)
// Writes OUT_DIR/data.json (list of {set, name, label, tags, group, fr, frtags}) and OUT_DIR/data.rgb (N x 64 x 64 x 3).
const sharp = require('sharp'), fs = require('fs'), S = 64;
sharp.concurrency(1);
const slug = s => s.toLowerCase().normalize('NFD').replace(/[\u0300-\u036f]/g, '').replace(/[’'“”.!,:()]/g, '')
  .replace(/&/g, 'and').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
const en = require('emojibase-data/en/data.json'), fr = require('emojibase-data/fr/data.json');
const french = {}, bySlug = {};
for (const e of fr) french[e.hexcode] = e;
for (const e of en) bySlug[slug(e.label)] = e;
(async () => {
  const [dir, sets] = process.argv.slice(2), meta = [], raw = [];
  for (const set of sets.split(',')) {
    const d = require('@iconify-json/' + set + '/icons.json'); let n = 0, failed = 0;
    for (const [k, v] of Object.entries(d.icons)) {
      const e = bySlug[k];
      if (!e || /skin-tone|^flag-|keycap/.test(k)) continue;      // only pictures with a known name
      const w = v.width || d.width || 16, h = v.height || d.height || 16, l = v.left || d.left || 0, t = v.top || d.top || 0;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${l} ${t} ${w} ${h}" width="${2 * S}" height="${2 * S}">${v.body}</svg>`;
      let px;
      try {
        px = await sharp(Buffer.from(svg)).flatten({ background: 'white' }).resize(S, S, { fit: 'contain', background: 'white' }).removeAlpha().raw().toBuffer();
      } catch { failed++; continue; }
      if (px.length !== S * S * 3) { failed++; continue; }
      const f = french[e.hexcode]; raw.push(px); n++;
      meta.push({ set, name: k.replace(/-/g, ' '), label: e.label, tags: e.tags || [], group: e.group ?? -1, fr: f ? f.label : null, frtags: f ? f.tags || [] : [] });
    }
    console.log(set, n, 'failed', failed);
  }
  fs.writeFileSync(dir + '/data.json', JSON.stringify(meta)); fs.writeFileSync(dir + '/data.rgb', Buffer.concat(raw));
})();
