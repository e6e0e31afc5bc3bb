// What functions get from Flagbase beside the web's own interfaces.
declare module "flagbase" {
  /** What is stored: text and bytes as they are, anything else as JSON. */
  export type Stored = string | ArrayBuffer | ArrayBufferView | Blob | object | number | boolean | null;

  /** Flags, decided for whoever is calling. */
  export const flags: {
    boolean(key: string, fallback?: boolean): boolean;
    text(key: string, fallback?: string): string;
    number(key: string, fallback?: number): number;
    json<T>(key: string, fallback: T): T;
    explain<T>(key: string, fallback: T): { value: T; variant: string; reason: string };
  };

  /** How what was stored is read; null when it is not there. */
  interface Readers {
    text: string;
    json: any;
    bytes: Uint8Array;
    arrayBuffer: ArrayBuffer;
  }

  export interface Store {
    get(key: string): Promise<string | null>;
    get<T extends keyof Readers>(key: string, type: T): Promise<Readers[T] | null>;
    set(key: string, value: Stored): Promise<void>;
    delete(key: string): Promise<void>;
    has(key: string): Promise<boolean>;
    list(from?: { prefix?: string; after?: string | null }): Promise<{ keys: string[]; next: string | null }>;
    /** Adds to a number; a key that is not there is 0. Safe with other calls at the same time. */
    increment(key: string, by?: number): Promise<number>;
    /** Sets the key provided that it still holds `old`; null: that it is not there. Says whether it did. */
    swap(key: string, old: Stored, value: Stored): Promise<boolean>;
  }

  /** The store `default`, and others by name. */
  export const kv: Store & { store(name: string): Store };

  export interface StoredObject {
    key: string;
    size: number;
    contentType: string;
    etag: string;
    modified: Date;
  }

  export const buckets: {
    get(bucket: string, key: string): Promise<Readers["bytes"] | null>;
    get<T extends keyof Readers>(bucket: string, key: string, type: T): Promise<Readers[T] | null>;
    put(bucket: string, key: string, data: Stored, options?: { contentType?: string }): Promise<StoredObject>;
    head(bucket: string, key: string): Promise<StoredObject | null>;
    delete(bucket: string, key: string): Promise<void>;
    list(
      bucket: string,
      from?: { prefix?: string; after?: string | null },
    ): Promise<{ objects: StoredObject[]; next: string | null }>;
  };

  export const bus: {
    /** Objects go as JSON. */
    publish(subject: string, data?: Stored): Promise<void>;
  };

  export const secrets: {
    get(name: string): string | null;
  };

  /** The function's variables. */
  export const config: {
    get(name: string): string | null;
    all(): Record<string, string>;
  };

  /** Who is calling, and what is running. */
  export const context: {
    readonly caller: { id: string; email: string; role: string; groups: string[] };
    readonly function: string;
    readonly version: number;
    readonly environment: string;
    readonly requestId: string;
    /** W3C Trace Context; empty when there is none. */
    readonly traceparent: string;
  };

  /** What `event` is called with. */
  export interface OccurredEvent {
    readonly id: string;
    readonly subject: string;
    readonly type: string;
    readonly time: Date;
    readonly contentType: string;
    /** 1 for the first attempt. */
    readonly attempt: number;
    bytes(): Uint8Array;
    text(): string;
    json(): any;
  }

  /** What `scheduled` is called with. */
  export interface Tick {
    readonly schedule: string;
    readonly time: Date;
  }

  /** The last argument of every handler. */
  export interface CallContext {
    /** Keeps the call alive until the promise is settled. */
    waitUntil(promise: Promise<unknown>): void;
  }

  /** What a module may export as its default. */
  export interface Handlers {
    fetch?(request: Request, env: Record<string, string>, context: CallContext): Response | Promise<Response>;
    event?(event: OccurredEvent, env: Record<string, string>, context: CallContext): void | Promise<void>;
    scheduled?(tick: Tick, env: Record<string, string>, context: CallContext): void | Promise<void>;
  }

  const flagbase: {
    flags: typeof flags;
    kv: typeof kv;
    buckets: typeof buckets;
    bus: typeof bus;
    secrets: typeof secrets;
    config: typeof config;
    context: typeof context;
  };
  export default flagbase;
}

/** The same without an import. */
declare const flagbase: typeof import("flagbase").default;
