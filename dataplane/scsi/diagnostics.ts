/**
 * SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-5): the default self-test, which reads the first block of the medium, and
 * the list of diagnostic pages, which is all that there is of them. Self-tests in the background would need a log of their
 * results, and are refused.
 */
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import {
  endWithSense,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  LOGICAL_UNIT_FAILED_SELF_TEST,
  PARAMETER_LIST_LENGTH_ERROR,
} from "./sense.js";

const FLAGS_BYTE = 1;
const SELF_TEST_CODE_MASK = 0xe0;
const SELF_TEST_CODE_BIT = 7;
const FLAG_PF = 0x10;
const FLAG_PF_BIT = 4;
const FLAG_SELFTEST = 0x04;
const LIST_LENGTH_BYTE = 3;

const PAGE_SUPPORTED_PAGES = 0x00;
const PAGE_HEADER_BYTES = 4;

const STEP_LIST = 1;
const STEP_TEST = 2;

/** DEVOFFL and UNITOFFL allow what this test does not do: others notice nothing of it. */
export function beginSendDiagnostic(task: Task, services: Services): void {
  const flags = services.bytes[task.cdb + FLAGS_BYTE]!;
  const length = services.view.getUint16(task.cdb + LIST_LENGTH_BYTE);
  if ((flags & SELF_TEST_CODE_MASK) !== 0) {
    invalidFieldInCdb(task, services, FLAGS_BYTE, SELF_TEST_CODE_BIT);
  } else if ((flags & FLAG_SELFTEST) !== 0) {
    // "the PARAMETER LIST LENGTH field shall contain zero"
    if (length !== 0) invalidFieldInCdb(task, services, LIST_LENGTH_BYTE);
    else testMedium(task, services);
  } else if (length === 0) {
    services.good(task);
  } else if ((flags & FLAG_PF) === 0) {
    invalidFieldInCdb(task, services, FLAGS_BYTE, FLAG_PF_BIT);
  } else if (length < PAGE_HEADER_BYTES) {
    endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
  } else {
    task.step = STEP_LIST;
    services.receiveParameters(task, length);
  }
}

function testMedium(task: Task, services: Services): void {
  if (services.parameterBuffer(task, task.unit!.blockLengthBytes) < 0) return;
  task.step = STEP_TEST;
  services.storeRead(task, 0, 0, 1);
}

export function resumeSendDiagnostic(task: Task, services: Services, result: number): void {
  if (task.step === STEP_LIST) judgePage(task, services, result);
  else if (result < 0) endWithSense(task, services, LOGICAL_UNIT_FAILED_SELF_TEST);
  else services.good(task);
}

/** 0 PAGE CODE    2-3 PAGE LENGTH: nothing follows, as page 00h asks for what RECEIVE DIAGNOSTIC RESULTS returns anyway. */
function judgePage(task: Task, services: Services, received: number): void {
  const { bytes, view } = services;
  const at = task.parameterOffset;
  const length = view.getUint16(task.cdb + LIST_LENGTH_BYTE);
  if (received < length) endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
  else if (bytes[at] !== PAGE_SUPPORTED_PAGES) invalidFieldInParameterList(task, services, 0);
  else if (view.getUint16(at + 2) !== 0) invalidFieldInParameterList(task, services, 2);
  else if (length > PAGE_HEADER_BYTES) endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
  else services.good(task);
}

const FLAG_PCV = 0x01;
const PAGE_BYTE = 2;
const ALLOCATION_LENGTH_BYTE = 3;
const SUPPORTED_PAGES_BYTES = PAGE_HEADER_BYTES + 1;

/** Page 00h, also without PCV: there is no other that SEND DIAGNOSTIC could have asked for. */
export function beginReceiveDiagnosticResults(task: Task, services: Services): void {
  const { bytes, view } = services;
  const isPageValid = (bytes[task.cdb + FLAGS_BYTE]! & FLAG_PCV) !== 0;
  if (isPageValid && bytes[task.cdb + PAGE_BYTE] !== PAGE_SUPPORTED_PAGES) {
    invalidFieldInCdb(task, services, PAGE_BYTE);
    return;
  }
  const at = services.parameterBuffer(task, SUPPORTED_PAGES_BYTES);
  if (at < 0) return;
  view.setUint16(at + 2, SUPPORTED_PAGES_BYTES - PAGE_HEADER_BYTES);
  bytes[at + PAGE_HEADER_BYTES] = PAGE_SUPPORTED_PAGES;
  services.reply(task, SUPPORTED_PAGES_BYTES, view.getUint16(task.cdb + ALLOCATION_LENGTH_BYTE));
}
