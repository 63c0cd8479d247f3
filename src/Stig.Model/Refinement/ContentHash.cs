using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;

namespace Stig.Model.Refinement;

/// <summary>XXH64 of a file's content with seed 0: tells whether a file has changed, ten times faster than a cryptographic hash, which
/// decoding and encoding would wait for. It is no protection against forgery.</summary>
/// <remarks>The algorithm is Yann Collet's; see the specification of xxHash, version 0.1.1, "XXH64".</remarks>
internal static class ContentHash
{
    private const ulong Prime1 = 0x9E3779B185EBCA87, Prime2 = 0xC2B2AE3D27D4EB4F, Prime3 = 0x165667B19E3779F9,
        Prime4 = 0x85EBCA77C2B2AE63, Prime5 = 0x27D4EB2F165667C5;

    /// <summary>The hash as 16 hexadecimal digits.</summary>
    public static string Of(ReadOnlySpan<byte> content) => Compute(content).ToString("x16", CultureInfo.InvariantCulture);

    /// <summary>The hash.</summary>
    public static ulong Compute(ReadOnlySpan<byte> rest)
    {
        ulong length = (ulong)rest.Length, hash;
        if (rest.Length >= 32)
        {
            ulong a = unchecked(Prime1 + Prime2), b = Prime2, c = 0, d = unchecked(0 - Prime1);
            for (; rest.Length >= 32; rest = rest[32..])
            {
                a = Round(a, BinaryPrimitives.ReadUInt64LittleEndian(rest));
                b = Round(b, BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]));
                c = Round(c, BinaryPrimitives.ReadUInt64LittleEndian(rest[16..]));
                d = Round(d, BinaryPrimitives.ReadUInt64LittleEndian(rest[24..]));
            }

            hash = BitOperations.RotateLeft(a, 1) + BitOperations.RotateLeft(b, 7) + BitOperations.RotateLeft(c, 12) + BitOperations.RotateLeft(d, 18);
            hash = Merge(Merge(Merge(Merge(hash, a), b), c), d);
        }
        else
        {
            hash = Prime5;
        }

        hash += length;
        for (; rest.Length >= 8; rest = rest[8..])
        {
            hash = (BitOperations.RotateLeft(hash ^ Round(0, BinaryPrimitives.ReadUInt64LittleEndian(rest)), 27) * Prime1) + Prime4;
        }

        if (rest.Length >= 4)
        {
            hash = (BitOperations.RotateLeft(hash ^ (BinaryPrimitives.ReadUInt32LittleEndian(rest) * Prime1), 23) * Prime2) + Prime3;
            rest = rest[4..];
        }

        foreach (byte value in rest)
        {
            hash = BitOperations.RotateLeft(hash ^ (value * Prime5), 11) * Prime1;
        }

        hash = (hash ^ (hash >> 33)) * Prime2;
        hash = (hash ^ (hash >> 29)) * Prime3;
        return hash ^ (hash >> 32);
    }

    private static ulong Round(ulong lane, ulong input) => BitOperations.RotateLeft(lane + (input * Prime2), 31) * Prime1;

    private static ulong Merge(ulong hash, ulong lane) => ((hash ^ Round(0, lane)) * Prime1) + Prime4;
}
