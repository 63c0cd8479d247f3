using System.Buffers.Binary;
using System.Text;

namespace Stig.Tests;

/// <summary>Writes files as <c>torch.save</c> does, from the description of the zip format and of pickle's protocol 2, byte by byte.</summary>
internal static class TorchFile
{
    /// <summary>A state dict of float32 tensors, each with memory of its own, in an archive.</summary>
    public static byte[] StateDict(params (string Name, long[] Shape, float[] Values)[] tensors)
    {
        List<(string, byte[])> files = [("net/data.pkl", Pickle.StateDict([.. tensors.Select((tensor, i) =>
            Pickle.Tensor(tensor.Name, "FloatStorage", $"{i}", tensor.Values.Length, 0, tensor.Shape, RowMajor(tensor.Shape)))]))];
        files.Add(("net/byteorder", "little"u8.ToArray()));
        files.AddRange(tensors.Select((tensor, i) => ($"net/data/{i}", tensor.Values.SelectMany(BitConverter.GetBytes).ToArray())));
        files.Add(("net/version", "3\n"u8.ToArray()));
        return Zip([.. files]);
    }

    /// <summary>The archive of one pickle and one piece of memory of 24 bytes.</summary>
    public static byte[] Of(byte[] pickle) => Zip(("net/data.pkl", pickle), ("net/data/0", new byte[24]));

    public static long[] RowMajor(long[] shape) =>
        [.. shape.Select((_, axis) => shape[(axis + 1)..].Aggregate(1L, (product, extent) => product * extent))];

    public static byte[] Zip(params (string Name, byte[] Content)[] files)
    {
        List<byte> archive = [], directory = [];
        foreach ((string name, byte[] content) in files)
        {
            int at = archive.Count;
            byte[] nameBytes = Encoding.UTF8.GetBytes(name);

            // Aligned to 64 bytes by an extra field, as PyTorch does.
            int padding = (64 - ((at + 30 + nameBytes.Length + 4) % 64)) % 64;
            byte[] common = [20, 0, 0, 8, 0, 0, 0, 0, 0, 0, .. U32(Crc(content)), .. U32(content.Length), .. U32(content.Length), .. U16(nameBytes.Length)];
            archive.AddRange([.. "PK\u0003\u0004"u8, .. common, .. U16(padding + 4), .. nameBytes, .. "FB"u8, .. U16(padding), .. new byte[padding], .. content]);
            directory.AddRange([.. "PK\u0001\u0002"u8, 20, 0, .. common, .. U16(0), .. U16(0), .. new byte[8], .. U32(at), .. nameBytes]);
        }

        int begin = archive.Count, longEnd = begin + directory.Count;
        return
        [
            .. archive, .. directory,
            .. "PK\u0006\u0006"u8, .. U64(44), 45, 0, 45, 0, .. new byte[8], .. U64(files.Length), .. U64(files.Length), .. U64(directory.Count), .. U64(begin),
            .. "PK\u0006\u0007"u8, .. U32(0), .. U64(longEnd), .. U32(1),
            .. "PK\u0005\u0006"u8, .. U32(0), .. U16(files.Length), .. U16(files.Length), .. U32(directory.Count), .. U32(-1), .. U16(0),
        ];
    }

    private static uint Crc(byte[] content)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in content)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ (0xEDB88320 & (uint)-(int)(crc & 1));
            }
        }

        return ~crc;
    }

    private static byte[] U16(int value) => BitConverter.GetBytes((ushort)value);

    private static byte[] U32(long value) => BitConverter.GetBytes((uint)value);

    private static byte[] U64(long value) => BitConverter.GetBytes(value);

    /// <summary>Parts of a pickle, as PyTorch's pickler puts them.</summary>
    internal static class Pickle
    {
        public static byte[] StateDict(params byte[][] tensors) =>
            [0x80, 2, .. Global("collections", "OrderedDict"), .. "q\u0000)Rq\u0001("u8, .. tensors.SelectMany(tensor => tensor), .. "u}q\u0002X\u0009\0\0\0_metadatah\u0001sb."u8];

        /// <summary>A name, and the call that makes its tensor.</summary>
        public static byte[] Tensor(string name, string storage, string key, long count, long offset, long[] shape, long[] strides) =>
        [
            .. Text(name), .. Global("torch._utils", "_rebuild_tensor_v2"), .. "(("u8, .. Text("storage"), .. Global("torch", storage), .. Text(key),
            .. Text("cpu"), .. Number(count), .. "tQ"u8, .. Number(offset), .. Tuple(shape), .. Tuple(strides), 0x89,
            .. Global("collections", "OrderedDict"), .. ")RtR"u8,
        ];

        public static byte[] Text(string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            return [(byte)'X', .. U32(bytes.Length), .. bytes];
        }

        public static byte[] Global(string module, string name) => Encoding.UTF8.GetBytes($"c{module}\n{name}\n");

        public static byte[] Number(long value)
        {
            if (value is >= 0 and < 256)
            {
                return [(byte)'K', (byte)value];
            }

            byte[] bytes = new byte[10];
            (bytes[0], bytes[1]) = (0x8a, 8);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(2), value);
            return bytes;
        }

        private static byte[] Tuple(long[] values) => [(byte)'(', .. values.SelectMany(Number), (byte)'t'];
    }
}
