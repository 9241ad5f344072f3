import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// What is built is committed, so that the Go program needs no node: names without hashes
// of time or machine, no source maps, nothing inlined that the page's policy forbids.
export default defineConfig({
  plugins: [svelte()],
  base: './',
  build: { outDir: '../dist', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, rollupOptions: { input: ['index.html', 'own.html'] } },
})
