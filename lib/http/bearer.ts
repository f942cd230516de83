/** The credential of `Bearer <credential>`; longer than any key or token of ours is none. */
export function bearerOf(header: string | undefined): string | undefined {
  if (!header || header.length > 8192) return undefined;
  return /^bearer +([\x21-\x7e]+)$/i.exec(header)?.[1];
}
