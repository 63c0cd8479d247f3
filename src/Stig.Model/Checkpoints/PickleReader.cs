using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Stig.Model.Checkpoints;

/// <summary>A piece of memory in a PyTorch file, one type of element throughout.</summary>
/// <param name="Key">Its name in the archive.</param>
/// <param name="Type">The type of its elements.</param>
/// <param name="Count">The number of its elements, as the pickle says.</param>
internal sealed record PickledStorage(string Key, StoredType Type, long Count);

/// <summary>A tensor in a PyTorch file: a view of a storage. Nothing of it has been checked yet.</summary>
internal sealed record PickledTensor(PickledStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>
/// Reads the pickle of a PyTorch state dict (protocol 2). A pickle is a program, and may name any function to be called; this reader has only
/// the instructions and the few names that a state dict needs, which it knows itself, and refuses everything else by name. Nothing is ever
/// run. Each instruction makes at most one object, and objects are never copied, so that memory is bounded by the length of the pickle.
/// </summary>
internal ref struct PickleReader
{
    private const string OrderedDict = "collections.OrderedDict";
    private const string RebuildTensor = "torch._utils._rebuild_tensor_v2";
    private const string RebuildParameter = "torch._utils._rebuild_parameter";

    private static readonly Dictionary<string, StoredType> Storages = new()
    {
        ["torch.FloatStorage"] = StoredType.F32,
        ["torch.DoubleStorage"] = StoredType.F64,
        ["torch.HalfStorage"] = StoredType.F16,
        ["torch.BFloat16Storage"] = StoredType.BF16,
        ["torch.LongStorage"] = StoredType.I64,
        ["torch.IntStorage"] = StoredType.I32,
        ["torch.ShortStorage"] = StoredType.I16,
        ["torch.CharStorage"] = StoredType.I8,
        ["torch.ByteStorage"] = StoredType.U8,
        ["torch.BoolStorage"] = StoredType.BOOL,
    };

    private static readonly object None = new();
    private static readonly object Mark = new();

    private readonly string path;
    private readonly ReadOnlySpan<byte> pickle;
    private readonly List<object> stack = [];
    private readonly Dictionary<uint, object> memo = [];
    private int position;

    private PickleReader(string path, ReadOnlySpan<byte> pickle)
    {
        this.path = path;
        this.pickle = pickle;
    }

    /// <summary>The tensors of a state dict by name, in its order; what else it holds is left out.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="pickle">The pickle.</param>
    /// <exception cref="CheckpointException">It is no state dict, is damaged, or asks for something that a state dict does not need.</exception>
    public static IReadOnlyList<KeyValuePair<string, PickledTensor>> ReadStateDict(string path, ReadOnlySpan<byte> pickle) =>
        new PickleReader(path, pickle).Read();

    private List<KeyValuePair<string, PickledTensor>> Read()
    {
        object? result = null;
        while (result is null)
        {
            result = Step();
        }

        if (result is not Dict dict)
        {
            throw Wrong("it holds no state dict, a dictionary of tensors by name");
        }

        List<KeyValuePair<string, PickledTensor>> tensors = [];
        HashSet<string> names = [];
        foreach ((object key, object value) in dict.Entries)
        {
            if (value is PickledTensor tensor)
            {
                string name = key as string ?? throw Wrong("a tensor's name is not text");
                tensors.Add(names.Add(name) ? new(name, tensor) : throw Wrong($"tensor {SafeTensorsFormat.Quote(name)} stands twice"));
            }
        }

        return tensors;
    }

    // Runs one instruction; gives the result of the last one.
    private object? Step()
    {
        byte code = Take(1)[0];
        switch (code)
        {
            case 0x80:
                byte protocol = Take(1)[0];
                return protocol == 2 ? null : throw Wrong($"its pickle has protocol {protocol}, but 2 is read, torch.save's own");
            case (byte)'.':
                return Pop();
            case (byte)'(':
                return Push(Mark);
            case (byte)'N':
                return Push(None);
            case 0x88:
                return Push(true);
            case 0x89:
                return Push(false);
            case (byte)'K':
                return Push((long)Take(1)[0]);
            case (byte)'M':
                return Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
            case (byte)'J':
                return Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
            case 0x8a:
                return Push(Long(Take(Take(1)[0])));
            case (byte)'G':
                return Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8)));
            case (byte)'X':
                return Push(Text(Take(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))));
            case (byte)']':
                return Push(new List<object>());
            case (byte)'}':
                return Push(new Dict());
            case (byte)')':
                return Push(Array.Empty<object>());
            case (byte)'t':
                return Push(PopToMark());
            case 0x85 or 0x86 or 0x87:
                return Push(Pop(code - 0x84));
            case (byte)'q':
                memo[Take(1)[0]] = Top();
                return null;
            case (byte)'r':
                memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Top();
                return null;
            case (byte)'h':
                return Push(Remembered(Take(1)[0]));
            case (byte)'j':
                return Push(Remembered(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))));
            case (byte)'c':
                return Push(Known($"{Text(Line())}.{Text(Line())}"));
            case (byte)'a':
                object item = Pop();
                TopAs<List<object>>("list").Add(item);
                return null;
            case (byte)'e':
                object[] items = PopToMark();
                TopAs<List<object>>("list").AddRange(items);
                return null;
            case (byte)'s':
                object[] pair = Pop(2);
                TopAs<Dict>("dictionary").Entries.Add((pair[0], pair[1]));
                return null;
            case (byte)'u':
                object[] pairs = PopToMark();
                Dict dict = TopAs<Dict>("dictionary");
                for (int i = 0; i < pairs.Length; i += 2)
                {
                    dict.Entries.Add((pairs[i], i + 1 < pairs.Length ? pairs[i + 1] : throw Wrong("a name has no value")));
                }

                return null;
            case (byte)'R':
                object[] call = Pop(2);
                return Push(Call(call[0], call[1]));
            case (byte)'b':
                // The attributes of the dictionary, where PyTorch keeps versions of its modules.
                _ = Pop();
                _ = TopAs<Dict>("dictionary");
                return null;
            case (byte)'Q':
                return Push(Storage(Pop()));
            default:
                throw Wrong($"its pickle has the instruction 0x{code:x2} at byte {position - 1}, which no state dict needs; nothing was run");
        }
    }

    private readonly Global Known(string name) => name is OrderedDict or RebuildTensor or RebuildParameter || Storages.ContainsKey(name)
        ? new Global(name)
        : throw Wrong($"it asks for {SafeTensorsFormat.Quote(name)}, which no state dict needs; nothing was run. "
            + "Save the generator's state_dict() by itself");

    private readonly object Call(object function, object arguments) => (function, arguments) switch
    {
        (Global { Name: OrderedDict }, object[] { Length: 0 }) => new Dict(),
        (Global { Name: RebuildTensor }, object[] { Length: 6 or 7 } all) => Tensor(all),
        (Global { Name: RebuildParameter }, object[] { Length: 3 } all) when all[0] is PickledTensor tensor => tensor,
        (Global global, _) => throw Wrong($"{global.Name} has arguments that it does not take"),
        _ => throw Wrong("it calls what is no function"),
    };

    private readonly PickledTensor Tensor(object[] arguments) =>
        arguments[0] is PickledStorage storage && arguments[1] is long offset && arguments[2] is object[] shape && arguments[3] is object[] strides
        && shape.All(extent => extent is long) && strides.All(stride => stride is long)
            ? new PickledTensor(storage, offset, [.. shape.Cast<long>()], [.. strides.Cast<long>()])
            : throw Wrong("a tensor is not described by storage, offset, shape and strides");

    private readonly PickledStorage Storage(object identity) =>
        identity is object[] { Length: 5 } parts && parts[0] is "storage" && parts[1] is Global type && parts[2] is string key && parts[4] is long count
        && Storages.TryGetValue(type.Name, out StoredType element)
            ? new PickledStorage(key, element, count)
            : throw Wrong("a storage is not described by type, name and number of elements");

    private readonly object? Push(object value)
    {
        stack.Add(value);
        return null;
    }

    private readonly object Top() => stack.Count > 0 && stack[^1] != Mark ? stack[^1] : throw Wrong("its pickle takes what is not there");

    private readonly T TopAs<T>(string what) where T : class => Top() as T ?? throw Wrong($"its pickle adds to what is no {what}");

    private readonly object Pop()
    {
        object top = Top();
        stack.RemoveAt(stack.Count - 1);
        return top;
    }

    private readonly object[] Pop(int count)
    {
        object[] values = new object[count];
        for (int i = count - 1; i >= 0; i--)
        {
            values[i] = Pop();
        }

        return values;
    }

    private readonly object[] PopToMark()
    {
        int mark = stack.LastIndexOf(Mark);
        if (mark < 0)
        {
            throw Wrong("its pickle takes what is not there");
        }

        object[] values = [.. stack[(mark + 1)..]];
        stack.RemoveRange(mark, stack.Count - mark);
        return values;
    }

    private readonly object Remembered(uint index) =>
        memo.TryGetValue(index, out object? value) ? value : throw Wrong("its pickle takes what it has not remembered");

    private ReadOnlySpan<byte> Take(uint count)
    {
        if (count > pickle.Length - position)
        {
            throw Wrong("its pickle is cut short");
        }

        position += (int)count;
        return pickle.Slice(position - (int)count, (int)count);
    }

    private ReadOnlySpan<byte> Line()
    {
        int length = pickle[position..].IndexOf((byte)'\n');
        ReadOnlySpan<byte> line = Take(length < 0 ? uint.MaxValue : (uint)length);
        position++;
        return line;
    }

    private readonly long Long(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > sizeof(long))
        {
            throw Wrong("it holds a number of more than 64 bits");
        }

        long value = !bytes.IsEmpty && bytes[^1] >= 0x80 ? -1 : 0;
        for (int i = bytes.Length - 1; i >= 0; i--)
        {
            value = (value << 8) | bytes[i];
        }

        return value;
    }

    private readonly string Text(ReadOnlySpan<byte> bytes) =>
        System.Text.Unicode.Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Wrong("it holds text that is not Unicode");

    private readonly CheckpointException Wrong(string what) => new(string.Create(CultureInfo.InvariantCulture, $"{path}: {what}"));

    /// <summary>A function or class by its name.</summary>
    private sealed record Global(string Name);

    /// <summary>A dictionary as a list, because keys may be anything.</summary>
    private sealed class Dict
    {
        public List<(object Key, object Value)> Entries { get; } = [];
    }
}
