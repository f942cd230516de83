/**
 * The protocol between the invoker and a bootstrap over fd 3, the same for Node and Python.
 *
 * frame   = length (u32 little endian, of what follows) · type (u8) · body
 *
 * to the slot
 *   ASSIGN   JSON `Assignment`. The first frame, once. The slot loads the code and answers READY or INIT_FAILED.
 *   CALL     id (u32) · attempt (u16) · flags (u8, 1 = the answer may be streamed) · length of request id (u8) · request id
 *            · length of trigger id (u8) · trigger id · payload (the rest, JSON as UTF-8)
 *            Ids rise by one from 1. Calls start in the order of their ids, at most `perSlot` of the assignment at once;
 *            what comes beyond that waits inside the slot. The answer of one call must be handed to the kernel before the
 *            next call starts, so that a slot that dies is known to have died in the first call without an answer.
 *   RECALL   empty. The slot gives back every call that it has not started: RETURNED.
 *
 * to the invoker
 *   READY        empty
 *   INIT_FAILED  JSON `ErrorInfo`; the slot is ended by the invoker
 *   RESULT       id (u32) · JSON as UTF-8
 *   ERROR        id (u32) · JSON `ErrorInfo`
 *   HEAD         id (u32) · JSON `{statusCode, headers, cookies}` of a streamed answer, at most once, before its DATA
 *   DATA         id (u32) · bytes of a streamed answer; its RESULT (`null`) or ERROR ends it
 *   LOG          id (u32, 0 = outside any call) · stream (u8, 1 stdout, 2 stderr) · text (UTF-8, any number of lines; a line may
 *                go on in the next LOG of the same id and stream)
 *   DROPPED      id (u32) · bytes (f64): printed by this call beyond the cap and not sent
 *   RETURNED     ids (u32 each): not started, and forgotten by the slot
 *   BROKEN       id (u32) · JSON `ErrorInfo`: this call ends so, and the slot cannot go on (uncaught exception, exit)
 *
 * Anything else (an unknown type or id, a second answer, a frame over its limit) is forged: the slot is ended.
 */
export const Frame = {
  ASSIGN: 1,
  CALL: 2,
  RECALL: 3,
  READY: 17,
  INIT_FAILED: 18,
  RESULT: 19,
  ERROR: 20,
  HEAD: 21,
  DATA: 22,
  LOG: 23,
  DROPPED: 24,
  RETURNED: 25,
  BROKEN: 26,
} as const;

/** Body of ASSIGN. */
export interface Assignment {
  functionId: string;
  functionName: string;
  version: string;
  handler: string;
  memoryMb: number;
  timeoutSec: number;
  tenant: string;
  namespace: string;
  /** Folders as the slot sees them. */
  code: string;
  layers: string[];
  cache?: string;
  tmp?: string;
  /** The tenant's own variables. */
  env: Record<string, string>;
  perSlot: number;
  /** A RESULT or ERROR over this is refused by the bootstrap itself (Function.ResponseTooLarge). */
  resultBytes: number;
  /** Printed bytes sent for each call; the rest is counted (DROPPED). */
  logBytes: number;
}

/** Largest bodies, bytes, beyond the result itself. */
export const FRAME_LIMITS = { error: 256 * 1024, head: 64 * 1024, data: 1024 * 1024, log: 128 * 1024, returned: 4 * 256 } as const;
