using System.Buffers.Binary;
using Stig.Model.Checkpoints;

namespace Stig.Model.Tests.Checkpoints;

/// <summary>Changes good files at random, from a seed, and opens them.</summary>
internal static class Fuzz
{
    // Numbers at which something overflows, or is a sign, or a length of nothing.
    private static readonly ulong[] Edges =
    [
        0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, int.MaxValue, 1UL << 31, uint.MaxValue, 1UL << 32, long.MaxValue, 1UL << 63, ulong.MaxValue,
    ];

    /// <summary>How many of so many changed files can still be opened.</summary>
    /// <param name="good">What is changed.</param>
    /// <param name="count">Files.</param>
    /// <param name="seed">Decides all changes; stands in the message of a failure.</param>
    /// <param name="open">Opens and reads a file.</param>
    public static int Run(byte[] good, int count, int seed, Func<byte[], int> open)
    {
        int valid = 0;
        for (int i = 0; i < count; i++)
        {
            byte[] bytes = Change(good, new Random(seed + i));
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                _ = open(bytes);
                valid++;
            }
            catch (CheckpointException error)
            {
                Assert.False(error.Message.Contains('\n', StringComparison.Ordinal), $"seed {seed + i}: {error.Message}");
            }
            catch (Exception error)
            {
                Assert.Fail($"seed {seed + i}: {error}");
            }

            // Far below what any of the file's numbers asks for when believed, and far above what a file this small needs.
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < (1 << 20) + (64L * bytes.Length), $"seed {seed + i}: {allocated} bytes for a file of {bytes.Length}");
        }

        return valid;
    }

    private static byte[] Change(byte[] good, Random random)
    {
        List<byte> bytes = [.. good];
        for (int changes = random.Next(1, 5); changes > 0 && bytes.Count > 0; changes--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.Insert(at, good[random.Next(good.Length)]);
                    break;
                case 3:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 9), bytes.Count - at));
                    break;
                case 4:
                    byte[] edge = new byte[8];
                    BinaryPrimitives.WriteUInt64LittleEndian(edge, Edges[random.Next(Edges.Length)]);
                    for (int i = 0, width = 1 << random.Next(4); i < width && at + i < bytes.Count; i++)
                    {
                        bytes[at + i] = edge[i];
                    }

                    break;
                default:
                    int from = random.Next(good.Length), length = Math.Min(random.Next(1, 40), good.Length - from);
                    bytes.InsertRange(at, good[from..(from + length)]);
                    break;
            }
        }

        return [.. bytes];
    }
}
