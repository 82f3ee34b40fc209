/** Two posts and a rope that is made fast between them: the letter of the name. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" fill="none" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="#0a4c5b" />
      <g strokeLinecap="round">
        <path d="M5 13c7.5 0 14.5 6 22 6" stroke="#c78c2c" strokeWidth="2.7" />
        <path d="M10.6 7.4v17.2M21.4 7.4v17.2" stroke="#0a4c5b" strokeWidth="6" />
        <path d="M10.6 7.4v17.2M21.4 7.4v17.2" stroke="#e6f2f4" strokeWidth="3.8" />
        <path d="M5 19c7.5 0 14.5-6 22-6" stroke="#0a4c5b" strokeWidth="4.9" />
        <path d="M5 19c7.5 0 14.5-6 22-6" stroke="#f0c36d" strokeWidth="2.7" />
      </g>
    </svg>
  )
}
