export const greeting = (word: string, name: string): string => `${word}, ${name}!`;
