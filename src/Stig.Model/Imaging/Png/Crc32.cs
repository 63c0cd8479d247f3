using System.Buffers.Binary;

namespace Stig.Model.Imaging;

/// <summary>The checksum of PNG chunks.</summary>
/// <remarks>CRC-32 of ISO 3309, as in annex D of PNG (ISO/IEC 15948): reflected polynomial EDB88320, register preset and result
/// inverted. Eight bytes a step: table k holds the remainders of a byte followed by k zero bytes, and remainders add up.</remarks>
internal static class Crc32
{
    private static readonly uint[] Tables = MakeTables();

    /// <summary>The checksum of the data.</summary>
    public static uint Of(ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<uint> tables = Tables;
        uint remainder = uint.MaxValue;
        for (; data.Length >= 8; data = data[8..])
        {
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(data) ^ remainder;
            remainder = tables[0x700 + (int)(word & 0xFF)] ^ tables[0x600 + (int)((word >> 8) & 0xFF)]
                        ^ tables[0x500 + (int)((word >> 16) & 0xFF)] ^ tables[0x400 + (int)((word >> 24) & 0xFF)]
                        ^ tables[0x300 + (int)((word >> 32) & 0xFF)] ^ tables[0x200 + (int)((word >> 40) & 0xFF)]
                        ^ tables[0x100 + (int)((word >> 48) & 0xFF)] ^ tables[(int)(word >> 56)];
        }

        foreach (byte value in data)
        {
            remainder = tables[(int)((remainder ^ value) & 0xFF)] ^ (remainder >> 8);
        }

        return ~remainder;
    }

    private static uint[] MakeTables()
    {
        uint[] tables = new uint[8 * 256];
        for (uint value = 0; value < 256; value++)
        {
            uint remainder = value;
            for (int bit = 0; bit < 8; bit++)
            {
                remainder = (remainder & 1) != 0 ? 0xEDB88320 ^ (remainder >> 1) : remainder >> 1;
            }

            tables[value] = remainder;
        }

        for (int i = 256; i < tables.Length; i++)
        {
            tables[i] = tables[(int)(tables[i - 256] & 0xFF)] ^ (tables[i - 256] >> 8);
        }

        return tables;
    }
}
