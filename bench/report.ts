import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Cell } from './cells.js';
import type { Idle } from './idle.js';
import type { Latencies } from './latency.js';

export interface Results {
  cells: Cell[];
  sustained: Cell[];
  warm: Latencies;
  coldNode: Latencies;
  coldPython: Latencies | undefined;
  idle: Idle;
  loadTool: string;
}

const FILE = join(__dirname, '..', 'docs', 'performance.md');
const [BEGIN, END] = ['<!-- measured: begin -->', '<!-- measured: end -->'];

const row = (cells: (string | number)[]): string => `| ${cells.join(' | ')} |`;
const table = (head: string[], rows: (string | number)[][]): string => [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

export function rate(cells: Cell[], name: string, connections: number): number {
  return cells.find((cell) => cell.name === name && cell.connections === connections)?.requestsPerSec ?? 0;
}

interface Target {
  what: string;
  measured: string;
  wanted: string;
  reached: boolean;
}

export function targets({ cells, warm, coldNode, coldPython, idle }: Results): Target[] {
  const ratio = (a: string, b: string, connections: number, wanted: number): Target => {
    const value = rate(cells, a, connections) / rate(cells, b, connections);
    return {
      what: `${a} / ${b}, ${connections} connections`,
      measured: `${value.toFixed(2)}x`,
      wanted: `>= ${wanted}x`,
      reached: value >= wanted,
    };
  };
  const atMost = (what: string, value: number, limit: number, unit: string): Target => ({
    what,
    measured: `${value.toFixed(1)} ${unit}`,
    wanted: `<= ${limit} ${unit}`,
    reached: value <= limit,
  });
  return [
    ratio('fns sync', 'functions-framework', 16, 2),
    ratio('fns sync', 'workerd', 64, 1),
    ratio('fns sync, key', 'functions-framework', 16, 1),
    atMost('warm call p95, 1 connection', warm.p95Ms, 5, 'ms'),
    atMost('cold start p95, Node', coldNode.p95Ms, 25, 'ms'),
    ...(coldPython ? [atMost('cold start p95, Python', coldPython.p95Ms, 40, 'ms')] : []),
    atMost('ready after a second start', idle.readyMs, 3000, 'ms'),
    atMost('idle memory (sum of resident sets)', idle.rssMb, 250, 'MB'),
    atMost('idle CPU', idle.cpuPercent, 3, '%'),
  ];
}

const cellRows = (cells: Cell[]): (string | number)[][] =>
  cells.map((cell) => [
    cell.name,
    cell.connections,
    Math.round(cell.requestsPerSec),
    cell.p99Ms.toFixed(1),
    Math.round(cell.cpuUs),
    cell.refused,
  ]);

const CELL_HEAD = ['contender', 'connections', 'requests/s', 'p99 ms', 'CPU us/request', 'not 2xx'];

export function markdown(results: Results): string {
  const { idle, warm, coldNode, coldPython } = results;
  const cpu = cpus();
  return [
    `Measured ${new Date().toISOString().slice(0, 10)} on ${cpu.length} x ${cpu[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 1024 ** 3)} GB, Node ${process.versions.node}, ${results.loadTool} on the same machine.`,
    '',
    table(
      ['target', 'measured', 'wanted', ''],
      targets(results).map((t) => [t.what, t.measured, t.wanted, t.reached ? 'reached' : 'MISSED']),
    ),
    '',
    'In turn, median of the rounds:',
    '',
    table(CELL_HEAD, cellRows(results.cells)),
    '',
    'Sustained, 15 s each:',
    '',
    table(CELL_HEAD, cellRows(results.sustained)),
    '',
    table(
      ['latency', 'p50 ms', 'p95 ms', 'calls'],
      [
        ['warm, 1 connection', warm],
        ['cold start, Node', coldNode],
        ...(coldPython ? [['cold start, Python', coldPython] as const] : []),
      ].map(([name, each]) => [
        name as string,
        (each as Latencies).p50Ms.toFixed(2),
        (each as Latencies).p95Ms.toFixed(2),
        (each as Latencies).calls,
      ]),
    ),
    '',
    `Idle: ready after ${Math.round(idle.readyMs)} ms, ${idle.processes} processes, ${Math.round(idle.rssMb)} MB resident (${Math.round(idle.pssMb)} MB with shared pages divided), ${idle.cpuPercent.toFixed(1)} % CPU.`,
  ].join('\n');
}

/** Puts the text between the markers of docs/performance.md. */
export function keep(text: string): void {
  const page = readFileSync(FILE, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${FILE} has no markers ${BEGIN} … ${END}`);
  writeFileSync(FILE, `${before}${BEGIN}\n${text}\n${END}${after}`);
}
