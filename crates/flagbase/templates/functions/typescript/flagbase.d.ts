// What functions get from Flagbase beside the web's own interfaces.
declare module "flagbase" {
  /** Flags, decided for whoever is calling. */
  export const flags: {
    boolean(key: string, fallback: boolean): boolean;
    text(key: string, fallback: string): string;
    number(key: string, fallback: number): number;
    json<T>(key: string, fallback: T): T;
    explain<T>(key: string, fallback: T): { value: T; variant: string; reason: string };
  };
}
