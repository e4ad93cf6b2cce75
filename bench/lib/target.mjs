// What is asked for and what the backends answer. The path is found once in the log record of each request.
export const PATH = '/bench-1k'
export const BODY_BYTES = 1024
export const BACKENDS = 4
