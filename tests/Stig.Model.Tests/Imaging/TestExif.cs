using System.Buffers.Binary;
using System.Text;

namespace Stig.Model.Tests.Imaging;

/// <summary>Writes and reads EXIF for the tests alone, from CIPA DC-008: a camera's data with everything that must not go on.</summary>
internal static class TestExif
{
    public const string MakerNote = "MAKERNOTE-with-offsets", Serial = "SERIAL-12345", Thumbnail = "THUMBNAIL-of-old-pixels", Comment = "USERCOMMENT-x",
                        Owner = "OWNER-Jane";

    /// <summary>Directories: main, EXIF, GPS, and one of a thumbnail.</summary>
    public static byte[] Make(bool bigEndian, int orientation, int width, int height)
    {
        var file = new Writer(bigEndian);
        file.Bytes(bigEndian ? "MM\0*"u8 : "II*\0"u8);
        file.Long(8);
        // main at 8: 6 entries, 2 + 72 + 4 = 78, to 86; EXIF at 200, GPS at 400, thumbnail's directory at 500, its image at 600.
        file.Short(6);
        file.Text(0x010F, "ACME Cameras", 100);
        file.Number(0x0112, 3, orientation);
        file.Text(0x0131, "firmware 7", 120);
        file.Number(0x8769, 4, 200);
        file.Number(0x8825, 4, 400);
        file.Number(0x0100, 4, width);
        file.Long(500);
        file.At(100, Encoding.ASCII.GetBytes("ACME Cameras\0"));
        file.At(120, Encoding.ASCII.GetBytes("firmware 7\0"));

        file.Seek(200);
        file.Short(7);
        file.Text(0x9003, "2024:01:02 03:04:05", 300);
        file.Undefined(0x927C, MakerNote, 320);
        file.Undefined(0x9286, Comment, 345);
        file.Number(0xA002, 3, width);
        file.Number(0xA003, 4, height);
        file.Text(0xA430, Owner, 360);
        file.Text(0xA431, Serial, 375);
        file.Long(0);
        file.At(300, Encoding.ASCII.GetBytes("2024:01:02 03:04:05\0"));
        file.At(320, Encoding.ASCII.GetBytes(MakerNote));
        file.At(345, Encoding.ASCII.GetBytes(Comment));
        file.At(360, Encoding.ASCII.GetBytes(Owner + "\0"));
        file.At(375, Encoding.ASCII.GetBytes(Serial + "\0"));

        file.Seek(400);
        file.Short(1);
        file.Text(0x0012, "WGS-84 position", 420);
        file.Long(0);
        file.At(420, Encoding.ASCII.GetBytes("WGS-84 position\0"));

        file.Seek(500);
        file.Short(2);
        file.Number(0x0201, 4, 600);
        file.Number(0x0202, 4, Thumbnail.Length);
        file.Long(0);
        file.At(600, Encoding.ASCII.GetBytes(Thumbnail));
        return file.ToArray();
    }

    /// <summary>Every entry of the main directory and of the EXIF and GPS directories: tag, and the value's bytes.</summary>
    public static Dictionary<int, byte[]> Read(byte[] exif)
    {
        bool big = exif[0] == 'M';
        int Short(int at) => big ? BinaryPrimitives.ReadUInt16BigEndian(exif.AsSpan(at)) : BinaryPrimitives.ReadUInt16LittleEndian(exif.AsSpan(at));
        int Long(int at) => big ? BinaryPrimitives.ReadInt32BigEndian(exif.AsSpan(at)) : BinaryPrimitives.ReadInt32LittleEndian(exif.AsSpan(at));
        Dictionary<int, byte[]> entries = [];
        Queue<int> directories = new([Long(4)]);
        while (directories.TryDequeue(out int directory))
        {
            int count = Short(directory), last = 0;
            for (int i = 0; i < count; i++)
            {
                int at = directory + 2 + (12 * i), tag = Short(at);
                Assert.True(directory == 8 || tag >= last, "a directory is not sorted");
                last = tag;
                int size = Long(at + 4) * Short(at + 2) switch { 3 => 2, 4 => 4, 5 or 10 => 8, _ => 1 };
                int value = size > 4 ? Long(at + 8) : at + 8;
                entries.Add(tag, exif[value..(value + size)]);
                if (tag is 0x8769 or 0x8825)
                {
                    directories.Enqueue(Long(at + 8));
                }
            }

            Assert.Equal(0, Long(directory + 2 + (12 * count)));
        }

        return entries;
    }

    /// <summary>A value as a number, as its length says.</summary>
    public static int Number(byte[] exif, byte[] value) => (exif[0] == 'M', value.Length) switch
    {
        (true, 2) => BinaryPrimitives.ReadUInt16BigEndian(value),
        (true, _) => BinaryPrimitives.ReadInt32BigEndian(value),
        (false, 2) => BinaryPrimitives.ReadUInt16LittleEndian(value),
        _ => BinaryPrimitives.ReadInt32LittleEndian(value),
    };

    private sealed class Writer(bool bigEndian)
    {
        private readonly byte[] file = new byte[600 + Thumbnail.Length];
        private int position;

        public void Bytes(ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(file.AsSpan(position));
            position += bytes.Length;
        }

        public void Seek(int at) => position = at;

        public void At(int at, byte[] bytes) => bytes.CopyTo(file, at);

        public void Short(int value) =>
            Bytes(bigEndian ? [(byte)(value >> 8), (byte)value] : [(byte)value, (byte)(value >> 8)]);

        public void Long(int value)
        {
            Short(bigEndian ? value >> 16 : value);
            Short(bigEndian ? value : value >> 16);
        }

        public void Text(int tag, string text, int offset) => Entry(tag, 2, text.Length + 1, offset);

        public void Undefined(int tag, string text, int offset) => Entry(tag, 7, text.Length, offset);

        public void Number(int tag, int type, int value)
        {
            Short(tag);
            Short(type);
            Long(1);
            if (type == 3)
            {
                Short(value);
                Short(0);
            }
            else
            {
                Long(value);
            }
        }

        public byte[] ToArray() => file;

        private void Entry(int tag, int type, int count, int offset)
        {
            Short(tag);
            Short(type);
            Long(count);
            Long(offset);
        }
    }
}
