/* Digests for crypto.subtle: SHA-1, SHA-256, SHA-384, SHA-512 (FIPS 180-4). */

typedef struct {
    bool is_wide;           /* words of 64 bits */
    uint64_t words[8];
    uint8_t block[128];
    size_t held;
    uint64_t total;
    int kind;               /* 1, 256, 384, 512 */
} sha_t;

/* The first bits of the fractional parts of the cube roots of the first 80 primes. */
static const uint64_t sha_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static uint32_t rotate32(uint32_t word, int by) { return word >> by | word << (32 - by); }
static uint64_t rotate64(uint64_t word, int by) { return word >> by | word << (64 - by); }

static void sha1_block(uint64_t *state, const uint8_t *block)
{
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 31);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k, next;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5A827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ED9EBA1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8F1BBCDC;
        } else {
            f = b ^ c ^ d;
            k = 0xCA62C1D6;
        }
        next = rotate32(a, 27) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate32(b, 2);
        b = a;
        a = next;
    }
    state[0] = (uint32_t)(state[0] + a);
    state[1] = (uint32_t)(state[1] + b);
    state[2] = (uint32_t)(state[2] + c);
    state[3] = (uint32_t)(state[3] + d);
    state[4] = (uint32_t)(state[4] + e);
}

#define SHA2_BLOCK(name, word_t, rotate, rounds, bytes, S0, S1, s0, s1, shift) \
    static void name(uint64_t *state, const uint8_t *block) \
    { \
        word_t w[rounds], v[8]; \
        for (int i = 0; i < 16; i++) { \
            w[i] = 0; \
            for (int j = 0; j < bytes; j++) \
                w[i] = w[i] << 8 | block[bytes * i + j]; \
        } \
        for (int i = 16; i < rounds; i++) \
            w[i] = s1(w[i - 2]) + w[i - 7] + s0(w[i - 15]) + w[i - 16]; \
        for (int i = 0; i < 8; i++) \
            v[i] = (word_t)state[i]; \
        for (int i = 0; i < rounds; i++) { \
            word_t one = v[7] + S1(v[4]) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + (word_t)(sha_k[i] >> shift) + w[i]; \
            word_t two = S0(v[0]) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])); \
            v[7] = v[6]; \
            v[6] = v[5]; \
            v[5] = v[4]; \
            v[4] = v[3] + one; \
            v[3] = v[2]; \
            v[2] = v[1]; \
            v[1] = v[0]; \
            v[0] = one + two; \
        } \
        for (int i = 0; i < 8; i++) \
            state[i] = (word_t)(state[i] + v[i]); \
    }

#define A32(x) (rotate32(x, 2) ^ rotate32(x, 13) ^ rotate32(x, 22))
#define B32(x) (rotate32(x, 6) ^ rotate32(x, 11) ^ rotate32(x, 25))
#define C32(x) (rotate32(x, 7) ^ rotate32(x, 18) ^ (x) >> 3)
#define D32(x) (rotate32(x, 17) ^ rotate32(x, 19) ^ (x) >> 10)
#define A64(x) (rotate64(x, 28) ^ rotate64(x, 34) ^ rotate64(x, 39))
#define B64(x) (rotate64(x, 14) ^ rotate64(x, 18) ^ rotate64(x, 41))
#define C64(x) (rotate64(x, 1) ^ rotate64(x, 8) ^ (x) >> 7)
#define D64(x) (rotate64(x, 19) ^ rotate64(x, 61) ^ (x) >> 6)
SHA2_BLOCK(sha256_block, uint32_t, rotate32, 64, 4, A32, B32, C32, D32, 32)
SHA2_BLOCK(sha512_block, uint64_t, rotate64, 80, 8, A64, B64, C64, D64, 0)

static bool sha_start(sha_t *sha, int kind)
{
    static const uint64_t h512[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    static const uint64_t h384[8] = {
        0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939,
        0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4,
    };
    static const uint32_t h1[5] = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0 };
    *sha = (sha_t) { .kind = kind, .is_wide = kind > 256 };
    for (int i = 0; i < 8; i++)
        sha->words[i] = kind == 512 ? h512[i] : kind == 384 ? h384[i] : kind == 256 ? h512[i] >> 32 : i < 5 ? h1[i] : 0;
    return kind == 1 || kind == 256 || kind == 384 || kind == 512;
}

static void sha_add(sha_t *sha, const uint8_t *data, size_t length)
{
    size_t size = sha->is_wide ? 128 : 64;
    sha->total += length;
    while (length > 0) {
        size_t part = size - sha->held < length ? size - sha->held : length;
        memcpy(sha->block + sha->held, data, part);
        sha->held += part;
        data += part;
        length -= part;
        if (sha->held == size) {
            (sha->kind == 1 ? sha1_block : sha->is_wide ? sha512_block : sha256_block)(sha->words, sha->block);
            sha->held = 0;
        }
    }
}

/* Writes the digest and returns its length. */
static size_t sha_end(sha_t *sha, uint8_t *out)
{
    static const uint8_t padding[128] = { 0x80 };
    size_t size = sha->is_wide ? 128 : 64, room = sha->is_wide ? 16 : 8, word = sha->is_wide ? 8 : 4;
    size_t length = sha->kind == 1 ? 20 : (size_t)sha->kind / 8;
    uint64_t bits = sha->total * 8;
    uint8_t count[16] = { 0 };
    for (int i = 0; i < 8; i++)
        count[room - 1 - i] = (uint8_t)(bits >> 8 * i);
    sha_add(sha, padding, (sha->held < size - room ? size : 2 * size) - room - sha->held);
    sha_add(sha, count, room);
    for (size_t i = 0; i < length; i++)
        out[i] = (uint8_t)(sha->words[i / word] >> 8 * (word - 1 - i % word));
    return length;
}

/* digest(1 | 256 | 384 | 512, bytes): an ArrayBuffer. */
HOST(digest)
{
    int32_t kind = 0;
    sha_t sha;
    uint8_t out[64];
    BYTES(data, argv[1]);
    if (JS_ToInt32(ctx, &kind, argv[0]) < 0 || !sha_start(&sha, kind))
        return JS_ThrowTypeError(ctx, "there is no such digest");
    sha_add(&sha, data, data_length);
    return JS_NewArrayBufferCopy(ctx, out, sha_end(&sha, out));
}

/* hmac(1 | 256 | 384 | 512, key, bytes): an ArrayBuffer (RFC 2104). */
HOST(hmac)
{
    int32_t kind = 0;
    sha_t sha;
    uint8_t out[64], pad[128] = { 0 };
    size_t size, length;
    BYTES(key, argv[1]);
    BYTES(data, argv[2]);
    if (JS_ToInt32(ctx, &kind, argv[0]) < 0 || !sha_start(&sha, kind))
        return JS_ThrowTypeError(ctx, "there is no such digest");
    size = sha.is_wide ? 128 : 64;
    if (key_length > size) {
        sha_add(&sha, key, key_length);
        sha_end(&sha, pad);
    } else if (key_length > 0)
        memcpy(pad, key, key_length);
    for (size_t i = 0; i < size; i++)
        pad[i] ^= 0x36;
    sha_start(&sha, kind);
    sha_add(&sha, pad, size);
    sha_add(&sha, data, data_length);
    length = sha_end(&sha, out);
    for (size_t i = 0; i < size; i++)
        pad[i] ^= 0x36 ^ 0x5C;
    sha_start(&sha, kind);
    sha_add(&sha, pad, size);
    sha_add(&sha, out, length);
    return JS_NewArrayBufferCopy(ctx, out, sha_end(&sha, out));
}

static const JSCFunctionListEntry digest_functions[] = {
    JS_CFUNC_DEF("digest", 2, host_digest),
    JS_CFUNC_DEF("hmac", 3, host_hmac),
};
