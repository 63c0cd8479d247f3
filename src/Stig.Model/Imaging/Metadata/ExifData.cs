using System.Buffers.Binary;

namespace Stig.Model.Imaging;

/// <summary>Reads EXIF, and changes it to fit changed pixels.</summary>
/// <remarks>EXIF 2.32 (CIPA DC-008), 4.6: a TIFF structure of directories, whose entries have a tag, a type, a count, and a value or
/// the offset of one. Data may be hostile: every offset is checked, and directories are met at fixed depths, so that no circle of
/// them has an effect.</remarks>
internal static class ExifData
{
    private const int EntryLength = 12, MaxEntries = 1000;

    // Far more than the tags of the list need.
    private const int MaxSafeLength = 4096;

    private const ushort ImageWidth = 0x0100, ImageLength = 0x0101, StripOffsets = 0x0111, OrientationTag = 0x0112, StripLengths = 0x0117,
                         SubDirectories = 0x014A, ThumbnailOffset = 0x0201, ThumbnailLength = 0x0202, ExifDirectory = 0x8769,
                         PixelWidth = 0xA002, PixelHeight = 0xA003;

    private const ushort Short = 3, Long = 4;

    // What MetadataPolicy.Safe keeps, named in docs/images.md.
    private static readonly HashSet<ushort> SafeMain = [0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298];

    private static readonly HashSet<ushort> SafeExif =
    [
        0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x8831, 0x8832, 0x9000, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9201, 0x9202, 0x9203,
        0x9204, 0x9205, 0x9206, 0x9207, 0x9208, 0x9209, 0x920A, 0x9290, 0x9291, 0x9292, 0xA001, PixelWidth, PixelHeight, 0xA20E, 0xA20F,
        0xA210, 0xA217, 0xA300, 0xA301, 0xA401, 0xA402, 0xA403, 0xA404, 0xA405, 0xA406, 0xA407, 0xA408, 0xA409, 0xA40A, 0xA40C, 0xA432,
        0xA433, 0xA434,
    ];

    /// <summary>The orientation, 1 (upright) to 8; 1 where there is none that can be read.</summary>
    public static int Orientation(ReadOnlySpan<byte> exif)
    {
        if (Tiff.Open(exif) is not { } tiff)
        {
            return 1;
        }

        int at = tiff.Find(exif, tiff.Main, OrientationTag);
        return at >= 0 && tiff.Number(exif, at) is >= 1 and <= 8 and long orientation ? (int)orientation : 1;
    }

    /// <summary>All of it, in place, so that offsets in maker notes stay right: orientation upright, sizes the image's, no
    /// thumbnail.</summary>
    /// <returns>Null where the data are damaged.</returns>
    public static byte[]? Keep(ReadOnlySpan<byte> exif, int width, int height)
    {
        if (Tiff.Open(exif) is not { } tiff || !tiff.IsSound(exif, tiff.Main))
        {
            return null;
        }

        byte[] kept = exif.ToArray();
        int length = RemoveThumbnail(kept, tiff);
        tiff.Remove(kept, tiff.Main, SubDirectories);
        tiff.Set(kept, tiff.Main, OrientationTag, 1);
        tiff.Set(kept, tiff.Main, ImageWidth, width);
        tiff.Set(kept, tiff.Main, ImageLength, height);
        int inner = tiff.Find(kept, tiff.Main, ExifDirectory);
        if (inner >= 0)
        {
            int directory = tiff.Offset(kept, inner);
            if (!tiff.IsSound(kept, directory))
            {
                return null;
            }

            tiff.Set(kept, directory, PixelWidth, width);
            tiff.Set(kept, directory, PixelHeight, height);
        }

        // What lay across each other has been overwritten.
        kept = kept[..length];
        bool whole = Tiff.Open(kept) == tiff && tiff.IsSound(kept, tiff.Main)
            && (inner < 0 || (tiff.Find(kept, tiff.Main, ExifDirectory) is >= 0 and int at && tiff.IsSound(kept, tiff.Offset(kept, at))));
        return whole && Orientation(kept) == 1 ? kept : null;
    }

    /// <summary>The tags that tell of the camera and the exposure, written anew; the orientation is left out, which means
    /// upright.</summary>
    /// <returns>Empty where there are none, null where the data are damaged.</returns>
    public static byte[]? Safe(ReadOnlySpan<byte> exif, int width, int height)
    {
        if (Tiff.Open(exif) is not { } tiff || !tiff.IsSound(exif, tiff.Main))
        {
            return null;
        }

        List<Entry> main = tiff.Entries(exif, tiff.Main, SafeMain), inner = [];
        int at = tiff.Find(exif, tiff.Main, ExifDirectory);
        if (at >= 0)
        {
            int directory = tiff.Offset(exif, at);
            if (!tiff.IsSound(exif, directory))
            {
                return null;
            }

            inner = tiff.Entries(exif, directory, SafeExif);
            foreach (Entry entry in inner)
            {
                if (entry.Tag is PixelWidth or PixelHeight)
                {
                    tiff.SetNumber(entry.Value, entry.Type, entry.Tag == PixelWidth ? width : height);
                }
            }
        }

        return main.Count + inner.Count == 0 ? [] : tiff.Write(main, inner);
    }

    // Clears the second directory's image and cuts the link to it.
    // Returns the length that is left: thumbnails mostly stand at the end, and go altogether then.
    private static int RemoveThumbnail(byte[] exif, Tiff tiff)
    {
        int next = tiff.Next(exif, tiff.Main);
        int length = exif.Length;
        if (next > 0 && tiff.Count(exif, next) > 0)
        {
            foreach ((ushort offsetTag, ushort lengthTag) in new[] { (ThumbnailOffset, ThumbnailLength), (StripOffsets, StripLengths) })
            {
                int offsetAt = tiff.Find(exif, next, offsetTag), lengthAt = tiff.Find(exif, next, lengthTag);
                long start = offsetAt < 0 ? 0 : tiff.Number(exif, offsetAt), size = lengthAt < 0 ? 0 : tiff.Number(exif, lengthAt);
                if (start > 0 && size > 0 && start < length)
                {
                    exif.AsSpan((int)start, (int)Math.Min(size, exif.Length - start)).Clear();
                    // One byte more may fill up to an even length.
                    length = start + size + 1 >= length ? (int)start : length;
                }
            }
        }

        tiff.Unlink(exif, tiff.Main);
        return length;
    }

    private sealed record Entry(ushort Tag, ushort Type, uint Count, byte[] Value);

    // The byte order and the place of the first directory; data are passed along, since they may be a span.
    private readonly record struct Tiff(bool BigEndian, int Main)
    {
        private const int HeaderLength = 8;

        public static Tiff? Open(ReadOnlySpan<byte> data)
        {
            bool big = data.StartsWith("MM\0*"u8);
            if (data.Length < HeaderLength || (!big && !data.StartsWith("II*\0"u8)))
            {
                return null;
            }

            var tiff = new Tiff(big, 0);
            uint main = tiff.Read32(data, 4);
            return main >= HeaderLength && main < data.Length ? tiff with { Main = (int)main } : null;
        }

        // Entries of a directory; 0 where it does not fit into the data.
        public int Count(ReadOnlySpan<byte> data, int directory)
        {
            if (directory < HeaderLength || directory > data.Length - 2)
            {
                return 0;
            }

            int count = Read16(data, directory);
            return count <= MaxEntries && directory + 2 + (count * EntryLength) <= data.Length ? count : 0;
        }

        // Whether every entry's value lies within the data.
        public bool IsSound(ReadOnlySpan<byte> data, int directory)
        {
            int count = Count(data, directory);
            for (int i = 0; i < count; i++)
            {
                int at = directory + 2 + (i * EntryLength);
                long size = Size(data, at);
                if (size < 0 || (size > 4 && Read32(data, at + 8) + size > data.Length))
                {
                    return false;
                }
            }

            return count > 0;
        }

        // Where the entry of a tag stands; -1 where there is none.
        public int Find(ReadOnlySpan<byte> data, int directory, ushort tag)
        {
            int count = Count(data, directory);
            for (int i = 0; i < count; i++)
            {
                int at = directory + 2 + (i * EntryLength);
                if (Read16(data, at) == tag)
                {
                    return at;
                }
            }

            return -1;
        }

        // The value of an entry that is one number, else -1.
        public long Number(ReadOnlySpan<byte> data, int at) => (Read16(data, at + 2), Read32(data, at + 4)) switch
        {
            (Short, 1) => Read16(data, at + 8),
            (Long, 1) => Read32(data, at + 8),
            _ => -1,
        };

        public int Offset(ReadOnlySpan<byte> data, int at) => (int)Math.Clamp(Number(data, at), 0, int.MaxValue);

        // The offset of the next directory; 0 where there is none.
        public int Next(ReadOnlySpan<byte> data, int directory)
        {
            int at = directory + 2 + (Count(data, directory) * EntryLength);
            return at <= data.Length - 4 ? (int)Math.Min(Read32(data, at), int.MaxValue) : 0;
        }

        public void Unlink(byte[] data, int directory)
        {
            int at = directory + 2 + (Count(data, directory) * EntryLength);
            if (at <= data.Length - 4)
            {
                data.AsSpan(at, 4).Clear();
            }
        }

        public void Set(byte[] data, int directory, ushort tag, int value)
        {
            int count = Count(data, directory);
            for (int at = directory + 2; count > 0; at += EntryLength, count--)
            {
                if (Read16(data, at) == tag && Number(data, at) >= 0)
                {
                    SetNumber(data.AsSpan(at + 8, 4), Read16(data, at + 2), value);
                }
            }
        }

        public void SetNumber(Span<byte> value, ushort type, int number)
        {
            if (type == Long && value.Length >= 4)
            {
                Write32(value, (uint)number);
            }
            else if (type == Short && value.Length >= 2)
            {
                Write16(value, (ushort)Math.Min(number, ushort.MaxValue));
            }
        }

        // Every entry of the tag; the entries behind move up, and the link to the next directory with them.
        public void Remove(byte[] data, int directory, ushort tag)
        {
            for (int at; (at = Find(data, directory, tag)) >= 0;)
            {
                int count = Count(data, directory);
                int end = Math.Min(data.Length, directory + 2 + (count * EntryLength) + 4);
                data.AsSpan((at + EntryLength)..end).CopyTo(data.AsSpan(at));
                data.AsSpan(end - EntryLength, EntryLength).Clear();
                Write16(data.AsSpan(directory), (ushort)(count - 1));
            }
        }

        public List<Entry> Entries(ReadOnlySpan<byte> data, int directory, HashSet<ushort> tags)
        {
            List<Entry> entries = [];
            int count = Count(data, directory);
            for (int i = 0; i < count; i++)
            {
                int at = directory + 2 + (i * EntryLength);
                ushort tag = Read16(data, at);
                int size = (int)Math.Min(Size(data, at), int.MaxValue);
                if (tags.Contains(tag) && size <= MaxSafeLength && !entries.Exists(entry => entry.Tag == tag))
                {
                    int value = size > 4 ? (int)Read32(data, at + 8) : at + 8;
                    entries.Add(new Entry(tag, Read16(data, at + 2), Read32(data, at + 4), data.Slice(value, size).ToArray()));
                }
            }

            entries.Sort((a, b) => a.Tag.CompareTo(b.Tag));
            return entries;
        }

        public byte[] Write(List<Entry> main, List<Entry> inner)
        {
            var file = new MemoryStream();
            file.Write(BigEndian ? "MM\0*"u8 : "II*\0"u8);
            Write32(file, HeaderLength);
            if (inner.Count > 0)
            {
                // The inner directory comes after the main one and its values.
                main = [.. main, new Entry(ExifDirectory, Long, 1, new byte[4])];
                main.Sort((a, b) => a.Tag.CompareTo(b.Tag));
                int end = HeaderLength + LengthOf(main);
                Write32(main.Find(entry => entry.Tag == ExifDirectory)!.Value, (uint)end);
            }

            WriteDirectory(file, main);
            if (inner.Count > 0)
            {
                WriteDirectory(file, inner);
            }

            return file.ToArray();
        }

        private static int LengthOf(List<Entry> entries) =>
            2 + (entries.Count * EntryLength) + 4 + entries.Sum(entry => entry.Value.Length > 4 ? Even(entry.Value.Length) : 0);

        private static int Even(int length) => length + (length & 1);

        private void WriteDirectory(MemoryStream file, List<Entry> entries)
        {
            int values = (int)file.Length + 2 + (entries.Count * EntryLength) + 4;
            Write16(file, (ushort)entries.Count);
            foreach (Entry entry in entries)
            {
                Write16(file, entry.Tag);
                Write16(file, entry.Type);
                Write32(file, entry.Count);
                if (entry.Value.Length > 4)
                {
                    Write32(file, (uint)values);
                    values += Even(entry.Value.Length);
                }
                else
                {
                    file.Write(entry.Value);
                    file.Write(new byte[4 - entry.Value.Length]);
                }
            }

            Write32(file, 0);
            foreach (Entry entry in entries.Where(entry => entry.Value.Length > 4))
            {
                file.Write(entry.Value);
                file.Write(new byte[entry.Value.Length & 1]);
            }
        }

        // Bytes of an entry's value; -1 where its type is unknown.
        private long Size(ReadOnlySpan<byte> data, int at) => Read16(data, at + 2) switch
        {
            1 or 2 or 6 or 7 => Read32(data, at + 4),
            3 or 8 => 2L * Read32(data, at + 4),
            4 or 9 or 11 or 13 => 4L * Read32(data, at + 4),
            5 or 10 or 12 => 8L * Read32(data, at + 4),
            _ => -1,
        };

        private ushort Read16(ReadOnlySpan<byte> data, int at) => BigEndian
            ? BinaryPrimitives.ReadUInt16BigEndian(data[at..]) : BinaryPrimitives.ReadUInt16LittleEndian(data[at..]);

        private uint Read32(ReadOnlySpan<byte> data, int at) => BigEndian
            ? BinaryPrimitives.ReadUInt32BigEndian(data[at..]) : BinaryPrimitives.ReadUInt32LittleEndian(data[at..]);

        private void Write16(Span<byte> target, ushort value)
        {
            if (BigEndian)
            {
                BinaryPrimitives.WriteUInt16BigEndian(target, value);
            }
            else
            {
                BinaryPrimitives.WriteUInt16LittleEndian(target, value);
            }
        }

        private void Write32(Span<byte> target, uint value)
        {
            if (BigEndian)
            {
                BinaryPrimitives.WriteUInt32BigEndian(target, value);
            }
            else
            {
                BinaryPrimitives.WriteUInt32LittleEndian(target, value);
            }
        }

        private void Write16(MemoryStream target, ushort value)
        {
            Span<byte> bytes = stackalloc byte[2];
            Write16(bytes, value);
            target.Write(bytes);
        }

        private void Write32(MemoryStream target, uint value)
        {
            Span<byte> bytes = stackalloc byte[4];
            Write32(bytes, value);
            target.Write(bytes);
        }
    }
}
