// The table of close codes (docs/protocol.md).

export type AfterClose =
  /** Another attempt would end the same way. */
  | 'stop'
  /** A person has to say whether to come back. */
  | 'ask'
  /** Connect at once, with jitter. */
  | 'soon'
  /** Connect after the back-off. */
  | 'later'
  /** Connect with fresh authorisation. */
  | 'sign-in'
  /** The client and the server disagree: begin anew with the screen. */
  | 'anew';

export function afterClose(code: number): AfterClose {
  switch (code) {
    case 1000:
    case 1008:
    case 4403:
    case 4404:
      return 'stop';
    case 4410:
      return 'ask';
    case 1001:
      return 'soon';
    case 4401:
      return 'sign-in';
    case 1009:
    case 4400:
      return 'anew';
    default:
      return 'later';
  }
}
