import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const SERVER = 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // One chunk holds the accessible components; splitting it further gains nothing on a local server.
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: { '/api': { target: SERVER, ws: true } },
  },
})
