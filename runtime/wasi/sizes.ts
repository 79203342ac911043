/** Sizes of the witx records, in bytes. */
export const SIZES = {
  size: 4,
  fd: 4,
  timestamp: 8,
  filesize: 8,
  fdstat: 24,
  filestat: 64,
  filestatUnstable: 56,
  prestat: 8,
  iovec: 8,
  event: 32,
  subscription: 48,
  subscriptionUnstable: 56,
  roflags: 2,
} as const;
