import type { Envelope } from './envelope.js';

/** What travels between JsonThread and its worker. */
export type Question = { ask: 'envelope'; bytes: Uint8Array } | { ask: 'isJson'; text: string };
export type AnswerTo<Q extends Question> = Q extends { ask: 'envelope' } ? Envelope : boolean;
export type JsonQuestion = Question & { id: number };
export interface JsonReply {
  id: number;
  answer: Envelope | boolean;
}
