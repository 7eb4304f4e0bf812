# Reads cluster.toml and the presets: only the part of TOML that they need. Every error names its
# line.

module Settings
  class Wrong < StandardError; end

  GENERAL = %w[box memory cores provider apply lot suite].freeze
  MACHINE = %w[address groups vars box memory cores data_disk].freeze
  NUMBERS = %w[memory cores data_disk].freeze

  # Returns the settings as { "cluster" => {...}, "vars" => {...}, "machines" => { name => {...} }
  # }.
  def self.read(path)
    settings = { "cluster" => {}, "vars" => {}, "machines" => {}, "groups" => {} }
    table = nil
    File.readlines(path, encoding: "UTF-8").each_with_index do |line, index|
      wrong = ->(why) { raise Wrong, "#{path}:#{index + 1}: #{why}" }
      text = line.strip
      next if text.empty? || text.start_with?("#")
      case text
      when /\A\[(cluster|vars)\]\s*(#.*)?\z/
        table = settings[$1]
      when /\A\[(machines|groups)\.([A-Za-z0-9][A-Za-z0-9.-]*|"[A-Za-z0-9][A-Za-z0-9.-]*")\]\s*(#.*)?\z/
        kind, name = $1, $2.delete('"')
        wrong.("`#{name}` stands twice") if settings[kind].key?(name)
        table = settings[kind][name] = {}
      when /\A([A-Za-z0-9_-]+)\s*=\s*(.+)\z/
        key, rest = $1, $2
        wrong.("`#{key}` stands in no table; begin with [cluster]") if table.nil?
        wrong.("`#{key}` stands twice") if table.key?(key)
        table[key] = value(rest, wrong)
      else
        wrong.("cannot be read: #{text}")
      end
    end
    check(path, settings)
    settings
  end

  def self.value(text, wrong)
    scanner = StringScanner.new(text)
    found = item(scanner, wrong)
    scanner.skip(/\s*(#.*)?/)
    wrong.("`#{scanner.rest}` is too much") unless scanner.eos?
    found
  end

  def self.item(scanner, wrong)
    scanner.skip(/\s*/)
    if scanner.scan(/"((?:[^"\\]|\\["\\])*)"/)
      scanner[1].gsub(/\\(["\\])/, '\1')
    elsif scanner.scan(/-?\d+(?![\w.])/)
      scanner[0].to_i
    elsif scanner.scan(/(true|false)\b/)
      scanner[1] == "true"
    elsif scanner.scan(/\[/)
      items = []
      until scanner.scan(/\s*\]/)
        items << item(scanner, wrong)
        scanner.scan(/\s*,/) || scanner.check(/\s*\]/) || wrong.("a list is not closed on its line")
      end
      items
    elsif scanner.scan(/\{/)
      entries = {}
      until scanner.scan(/\s*\}/)
        scanner.scan(/\s*([A-Za-z0-9_-]+)\s*=/) || wrong.("a table is not closed on its line")
        name = scanner[1]
        entries[name] = item(scanner, wrong)
        scanner.scan(/\s*,/) || scanner.check(/\s*\}/) || wrong.("a table is not closed on its line")
      end
      entries
    else
      wrong.("`#{scanner.rest}` is no text, number, true, false, list or table")
    end
  end

  # Checks values that a provider would reject only half-way, or would misread.
  def self.kinds(table, values, wrong)
    values.each do |key, value|
      fits, what =
        case key
        when *NUMBERS then [value.is_a?(Integer) && value.positive?, "a whole number above 0"]
        when "groups" then [value.is_a?(Array) && value.all?(String), "a list of names"]
        when "vars" then [value.is_a?(Hash), "a table"]
        else [value.is_a?(String), "a text"]
        end
      wrong.("#{table} has `#{key}`, which is not #{what}") unless fits
    end
  end

  def self.check(path, settings)
    wrong = ->(why) { raise Wrong, "#{path}: #{why}" }
    unknown = settings["cluster"].keys - GENERAL
    wrong.("[cluster] has no `#{unknown.first}`; it has #{GENERAL.join(', ')}") unless unknown.empty?
    kinds("[cluster]", settings["cluster"], wrong)
    wrong.("no machine is given; add [machines.docker01]") if settings["machines"].empty?
    settings["machines"].each do |name, machine|
      unknown = machine.keys - MACHINE
      wrong.("[machines.#{name}] has no `#{unknown.first}`; it has #{MACHINE.join(', ')}") unless unknown.empty?
      kinds("[machines.#{name}]", machine, wrong)
      octets = machine["address"].to_s.split(".", -1)
      whole = octets.length == 4 && octets.all? { |octet| octet =~ /\A\d{1,3}\z/ && octet.to_i < 256 }
      wrong.("[machines.#{name}] needs `address`, an IPv4 address of the private network") unless whole
      twin = settings["machines"].find { |other, table| other != name && table["address"] == machine["address"] }
      wrong.("#{name} and #{twin.first} have the same address") if twin
    end
  end
end

require "strscan"
